"""Colors, words and the window of HU of everything drawn: a structure has the same color everywhere."""

# Okabe and Ito's palette, which people with any color vision can distinguish.
COLORS = {
    "right_kidney": "#56B4E9",
    "left_kidney": "#009E73",
    "kidney": "#56B4E9",
    "tumor": "#E69F00",
    "cyst": "#CC79A7",
}
# Kinds of errors: only the truth has the voxel, only the prediction has it, or both have it as different structures.
ERROR_COLORS = {"missed": "#D55E00", "false": "#F0E442", "other structure": "#0072B2"}
SOFT_TISSUE_HU = (-160.0, 240.0)
FACE, TEXT = "black", "white"
DOTS_PER_INCH = 110
# Width and height of a thumbnail in pixels: two planes beside each other.
THUMBNAIL_SIZE = (302, 112)


def rgb(name: str) -> tuple[float, float, float]:
    """Returns the color of a structure or an error as red, green and blue, 0..1."""
    color = (COLORS | ERROR_COLORS)[name]
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def words(name: str) -> str:
    """Returns the name of a structure for a person, as in "right kidney"."""
    return name.replace("_", " ")
