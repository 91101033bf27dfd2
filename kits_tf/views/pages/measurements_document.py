"""Measurements and pictures of a case on paper: a PDF of one page, or of two where there are lesions."""

import io
import textwrap
from collections.abc import Sequence
from datetime import date

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

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
# Characters of a line across the page, by weight, and its height as a share of the page's.
_LINE_LENGTH, _LINE_HEIGHT = {"normal": 108, "bold": 92}, 0.0145
# Left and right end of what is on a page, and the height at which the table of lesions or the pictures begin.
_LEFT, _RIGHT, _HALF = 0.08, 0.92, 0.56
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
    whose = f"Mask by the model {model}{', corrected by hand' if is_corrected else ', as the model made it'}."
    shape, spacing = (" x ".join(texts) for texts in (map(str, case.hu.shape), map("{:.2f}".format, case.spacing_mm)))
    head = [
        whose,
        f"Scan of {shape} voxels of {spacing} mm (z, y, x). kits_tf {__version__}, {date.today().isoformat()}.",
    ]
    pictures = case_figure(case)
    page, top = _page(f"{case.case_id}: kidneys and lesions", [*head, _NOTICE], warnings)
    _table(page, (_LEFT, _HALF, _RIGHT - _LEFT, top - _HALF), *_kidney_table(measurements))
    content = io.BytesIO()
    metadata = {"Title": f"{case.case_id}: kidneys", "Creator": f"kits_tf {__version__}"}
    with PdfPages(content, metadata=metadata) as pages:
        if measurements.lesions:
            _table(page, (_LEFT, 0.08, _RIGHT - _LEFT, _HALF - 0.1), *_lesion_table(measurements))
            pages.savefig(page)
            pages.savefig(pictures)
        else:
            page.text(_LEFT, _HALF - 0.01, "No lesion was found. That does not mean that there is none.", fontsize=10)
            _add_picture(page, pictures)
            pages.savefig(page, dpi=_PICTURE_DPI)
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
    return figure, top


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


def _table(
    figure: Figure, place: tuple[float, float, float, float], heads: Sequence[str], rows: list[list[str]]
) -> None:
    ax = figure.add_axes(place)
    ax.set_axis_off()
    table = ax.table(rows, colLabels=heads, loc="upper left", cellLoc="left", colLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(9 if len(heads) < _MANY_COLUMNS else 7)
    table.scale(1, 1.4)


def _add_picture(page: Figure, pictures: Figure) -> None:
    """Draws a figure into the lower half of a page, as large as fits."""
    pictures.set_dpi(_PICTURE_DPI)
    drawn = FigureCanvasAgg(pictures)
    drawn.draw()
    ax = page.add_axes((_LEFT, 0.02, _RIGHT - _LEFT, _HALF - 0.04))
    ax.set_axis_off()
    ax.imshow(np.asarray(drawn.buffer_rgba()), interpolation="none")
