"""A case slice by slice: a montage of axial planes, and an animation."""

import io

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.base.files import MADE_BY
from kits_tf.ct.crop import Crop, crop_around
from kits_tf.views.drawings import canvas, legend, raster, style

COLUMNS, ROWS = 5, 4
# Height of an animation's planes in pixels, and the least width that its legend needs below them.
GIF_HEIGHT, GIF_WIDTH = 240, 380
_MOST_FRAMES = 60
_FRAME_MS = 100
# Shades of gray in an animation, and of each structure's tint; with the structures' own colors they make its palette.
_GRAYS, _TINTS = 64, 32
_MARGIN_MM = 30.0
_PANEL_INCHES = 2.4
# Largest ratio of the sides of a picture that is still filled: a scan of one column or row would be a strip of meters.
_LARGEST_RATIO = 4.0


@canvas.plain_style()
def montage(case: CaseMasks) -> Figure:
    """Returns a figure of 20 axial planes, evenly spaced from the first to the last that shows a structure.

    The prediction tints, the truth outlines; the patient's right is on the left. A case without labels shows planes of
    the whole scan.
    """
    planes, crop = _planes(case, COLUMNS * ROWS)
    height_mm, width_mm = _size_mm(case, crop)
    panel = _PANEL_INCHES * min(height_mm / width_mm, _LARGEST_RATIO) + 0.25
    figure = canvas.dark_page(_PANEL_INCHES * COLUMNS, panel * ROWS + 0.8)
    axes = figure.subplots(ROWS, COLUMNS).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, z in zip(axes, planes, strict=False):
        canvas.show(ax, _painted(case, z, crop), case.spacing_mm[1:])
        ax.set_title(f"axial {z}", color=style.TEXT, fontsize=8)
    canvas.set_title(figure, f"{case.case_id}   The patient's right is on the left.", case.warnings)
    legend.add_legend(figure, _entries(case))
    return figure


@canvas.plain_style()
def animation(case: CaseMasks) -> bytes:
    """Returns a GIF through the axial planes of `montage`, up to 60 of them, GIF_HEIGHT pixels high, above a legend."""
    planes, crop = _planes(case, _MOST_FRAMES)
    height_mm, width_mm = _size_mm(case, crop)
    pixels_per_mm = min(GIF_HEIGHT / height_mm, _LARGEST_RATIO * GIF_HEIGHT / width_mm)
    size = max(1, round(width_mm * pixels_per_mm)), max(1, round(height_mm * pixels_per_mm))
    key = legend.legend_picture(_entries(case), max(size[0], GIF_WIDTH), case.warnings)
    pictures = (_frame(Image.fromarray(_painted(case, z, crop)).resize(size), key) for z in planes)
    palette = _palette(case)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    settings = {"save_all": True, "append_images": frames[1:], "duration": _FRAME_MS, "loop": 0, "comment": MADE_BY}
    frames[0].save(content, "GIF", **settings)
    return content.getvalue()


def _entries(case: CaseMasks) -> list[Artist]:
    return legend.structures(case.scheme) + legend.tint_and_outline(has_truth=case.truth is not None)


def _frame(picture: Image.Image, key: NDArray[np.uint8]) -> Image.Image:
    """Returns a picture above a legend that is at least as wide."""
    height, width, _ = key.shape
    frame = Image.new("RGB", (width, GIF_HEIGHT + height))
    frame.paste(picture, ((width - picture.width) // 2, 0))
    frame.paste(Image.fromarray(key), (0, GIF_HEIGHT))
    return frame


def _palette(case: CaseMasks) -> Image.Image:
    """Returns a picture with the palette of all frames, in which structures keep their colors."""
    classes = case.scheme.classes
    shades = [np.linspace(0, 1, _GRAYS)[:, None].repeat(3, axis=1), np.array([style.rgb(name) for name in classes[1:]])]
    for label in range(1, len(classes)):
        tinted = np.linspace(0, 1, _TINTS, dtype=np.float32)[None, :, None].repeat(3, axis=2)
        raster.tint(tinted, np.full(tinted.shape[:2], label, np.uint8), classes)
        shades.append(tinted[0])
    palette = Image.new("P", (1, 1))
    palette.putpalette(raster.to_bytes(np.concatenate(shades)).tobytes())
    return palette


def _planes(case: CaseMasks, limit: int) -> tuple[list[int], Crop]:
    """Returns the indices of `limit` axial planes or fewer, and the box of all structures with a margin."""
    labeled = case.known | case.predicted
    tight = crop_around(labeled, 0, case.spacing_mm)
    first, count = tight.start[0], tight.shape[0]
    planes = np.linspace(first, first + count - 1, min(limit, count)).round().astype(int)
    return planes.tolist(), crop_around(labeled, _MARGIN_MM, case.spacing_mm)


def _size_mm(case: CaseMasks, crop: Crop) -> tuple[float, float]:
    return crop.shape[1] * case.spacing_mm[1], crop.shape[2] * case.spacing_mm[2]


def _painted(case: CaseMasks, z: int, crop: Crop) -> NDArray[np.uint8]:
    plane = z - crop.start[0]
    truth = None if case.truth is None else crop.of(case.truth)[plane]
    return raster.paint(crop.of(case.hu)[plane], truth, crop.of(case.predicted)[plane], case.scheme)
