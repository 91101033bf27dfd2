"""Colors, hatches and the window of HU of everything drawn: a structure has the same color everywhere."""

# Near Okabe and Ito's, moved until people with any color vision can distinguish all of a picture, errors among them:
# tests/views/drawings/test_style.py measures it.
COLORS = {
    "right_kidney": "#56B4E9",
    "left_kidney": "#99C27A",
    "kidney": "#56B4E9",
    "tumor": "#E69F00",
    "cyst": "#CC3D85",
}
# Kinds of errors: only the truth has the voxel, only the prediction has it, or both have it as different structures.
ERROR_COLORS = {"missed": "#CC1F1F", "false": "#FFF585", "other structure": "#9900FF"}
# Matplotlib's hatches, so that an error is an error without its color.
ERROR_HATCHES = {"missed": "////", "false": "....", "other structure": "xxxx"}
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
