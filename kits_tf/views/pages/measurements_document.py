"""Measurements and pictures of a case on paper: a PDF of one page, or of two where there are many lesions."""

import io
import textwrap
from collections.abc import Sequence
from datetime import date

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import Measurements
from kits_tf.base.version import __version__
from kits_tf.views.drawings import canvas
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.numbers import number_text
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

_A4_INCHES = (8.27, 11.69)
# Number of lesions, the largest, that the page has room for.
_MOST_ROWS = 20
# Characters of a line across the page, by weight. Heights are shares of the page's.
_LINE_LENGTH, _LINE_HEIGHT = {"normal": 108, "bold": 92}, 0.0145
_ROW_HEIGHT, _GAP = 0.0175, 0.02
# Left and right end of what is on a page, its lower end, and the least height that pictures need.
_LEFT, _RIGHT, _BOTTOM, _PICTURE_HEIGHT = 0.08, 0.92, 0.02, 0.4
_PICTURE_DPI = 220
# A table of so many columns is in smaller letters.
_MANY_COLUMNS = 6
_NOTICE = "For research. Not a medical device. Volumes and sizes are of the mask: look at it before you use them."


@canvas.plain_style()
def measurements_document(
    case: CaseMasks, measurements: Measurements, *, model: str, is_corrected: bool, warnings: Sequence[str] = ()
) -> bytes:
    """Returns the PDF.

    Args:
        case: scan and mask, in a scheme with sides.
        measurements: measurements of the mask.
        model: identity of the model that made the mask.
        is_corrected: whether a person has changed the mask.
        warnings: sentences to begin with.
    """
    network, _, settings = model.partition(" ")
    whose = f"Mask by the network {network}{', corrected by hand' if is_corrected else ', as the network made it'}."
    shape, spacing = (" x ".join(map("{:.4g}".format, sizes)) for sizes in (case.hu.shape, case.spacing_mm))
    head = [
        whose,
        f"Scan of {shape} voxels of {spacing} mm (z, y, x). kits_tf {__version__}, {date.today().isoformat()}.",
        _NOTICE,
    ]
    pictures = case_figure(case)
    page, top = _page(f"{case.case_id}: kidneys and lesions", head, warnings)
    top = _table(page, top, *_kidney_table(measurements))
    if measurements.lesions:
        top = _table(page, top, *_lesion_table(measurements))
    else:
        page.text(_LEFT, top, "The mask has no lesion. That does not mean that there is none.", fontsize=10, va="top")
        top -= 2 * _LINE_HEIGHT
    page.text(_LEFT, _BOTTOM, f"network: {network} {settings}", fontsize=6, va="top")
    content = io.BytesIO()
    metadata = {"Title": f"{case.case_id}: kidneys", "Creator": f"kits_tf {__version__}"}
    with PdfPages(content, metadata=metadata) as pages:
        if top - _BOTTOM >= _PICTURE_HEIGHT:
            _add_picture(page, top, pictures)
            pages.savefig(page, dpi=_PICTURE_DPI)
        else:
            pages.savefig(page)
            pages.savefig(pictures)
    return content.getvalue()


def _page(title: str, head: Sequence[str], warnings: Sequence[str]) -> tuple[Figure, float]:
    """Returns a page with a title and lines below it, and the height at which there is room for more."""
    figure = Figure(figsize=_A4_INCHES)
    figure.text(_LEFT, 0.95, title, fontsize=16, wrap=True)
    top = 0.94
    for text, weight in [(text, "normal") for text in head] + [(f"WARNING: {text}", "bold") for text in warnings]:
        for line in textwrap.wrap(text, _LINE_LENGTH[weight]):
            figure.text(_LEFT, top, line, fontsize=9, va="top", weight=weight)
            top -= _LINE_HEIGHT
    return figure, top - _GAP / 2


def _kidney_table(measurements: Measurements) -> tuple[list[str], list[list[str]]]:
    """Returns heads and rows of the kidneys; the last row has what may be wrong with a measurement, if there is any."""
    rows = [
        [shown.words, *(number_text(getattr(kidney, shown.field), shown.digits) for kidney in measurements.kidneys)]
        for shown in KIDNEY
    ]
    if any(kidney.flags for kidney in measurements.kidneys):
        rows.append(["in doubt", *("; ".join(kidney.flags) for kidney in measurements.kidneys)])
    return ["", *(f"{kidney.side} kidney" for kidney in measurements.kidneys)], rows


def _lesion_table(measurements: Measurements) -> tuple[list[str], list[list[str]]]:
    return ["", "side", *(shown.words for shown in LESION)], _lesion_rows(measurements)


def _lesion_rows(measurements: Measurements) -> list[list[str]]:
    rows = []
    for i, lesion in enumerate(measurements.lesions[:_MOST_ROWS], start=1):
        cells = [number_text(getattr(lesion, shown.field), shown.digits) for shown in LESION]
        rows.append([f"{lesion.kind} {i}", lesion.side or "-", *cells])
    left = len(measurements.lesions) - len(rows)
    return [*rows, [f"{left} more", *[""] * (1 + len(LESION))]] if left else rows


def _table(figure: Figure, top: float, heads: Sequence[str], rows: list[list[str]]) -> float:
    """Draws a table from a height downwards, and returns the height below it."""
    height = _ROW_HEIGHT * (1 + len(rows))
    ax = figure.add_axes((_LEFT, top - height, _RIGHT - _LEFT, height))
    ax.set_axis_off()
    table = ax.table(rows, colLabels=heads, cellLoc="left", colLoc="left", edges="horizontal", bbox=Bbox.unit())
    table.auto_set_font_size(False)
    table.set_fontsize(9 if len(heads) < _MANY_COLUMNS else 7)
    return top - height - _GAP


def _add_picture(page: Figure, top: float, pictures: Figure) -> None:
    """Draws a figure below a height of a page, as large as fits."""
    pictures.set_dpi(_PICTURE_DPI)
    drawn = FigureCanvasAgg(pictures)
    drawn.draw()
    ax = page.add_axes((_LEFT, 1.5 * _BOTTOM, _RIGHT - _LEFT, top - 1.5 * _BOTTOM), anchor="N")
    ax.set_axis_off()
    ax.imshow(np.asarray(drawn.buffer_rgba()), interpolation="none")
