"""How everything drawn looks: the same color for the same structure everywhere, safe for the color-blind."""

# Okabe and Ito's palette, chosen to be told apart with any color vision.
COLORS = {
    "right_kidney": "#56B4E9",
    "left_kidney": "#009E73",
    "kidney": "#56B4E9",
    "tumor": "#E69F00",
    "cyst": "#CC79A7",
}
# What is wrong with a voxel: labeled by the truth alone, by the prediction alone, or by both, but as something else.
ERROR_COLORS = {"missed": "#D55E00", "false": "#F0E442", "other structure": "#0072B2"}
SOFT_TISSUE_HU = (-160.0, 240.0)
FACE, TEXT = "black", "white"
DOTS_PER_INCH = 110


def rgb(name: str) -> tuple[float, float, float]:
    """Returns the color of a structure or an error as red, green and blue, 0..1."""
    color = (COLORS | ERROR_COLORS)[name]
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def words(name: str) -> str:
    """Returns the name of a structure for a person, as in "right kidney"."""
    return name.replace("_", " ")
