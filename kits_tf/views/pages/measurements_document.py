"""Measurements and pictures of a case on paper: a PDF of two pages."""

import io
import textwrap
from collections.abc import Sequence
from datetime import date

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import Measurements
from kits_tf.base.version import __version__
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.numbers import number_text
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

_A4_INCHES = (8.27, 11.69)
# Number of lesions, the largest, that the page has room for.
_MOST_ROWS = 20
# Characters of a line across the page.
_LINE_LENGTH = 100
_NOTICE = "For research. Not a medical device. Volumes and sizes are of the mask: look at it before you use them."


def measurements_document(
    case: CaseMasks, measurements: Measurements, *, is_corrected: bool, warnings: Sequence[str] = ()
) -> bytes:
    """Returns the PDF.

    Args:
        case: scan and mask, in a scheme with sides.
        measurements: measurements of the mask.
        is_corrected: whether a person has changed the mask.
        warnings: sentences to begin with.
    """
    content = io.BytesIO()
    metadata = {"Title": f"{case.case_id}: kidneys", "Creator": f"kits_tf {__version__}"}
    with PdfPages(content, metadata=metadata) as pages:
        pages.savefig(_tables(case, measurements, is_corrected, warnings))
        pages.savefig(case_figure(case))
    return content.getvalue()


def _tables(case: CaseMasks, measurements: Measurements, is_corrected: bool, warnings: Sequence[str]) -> Figure:
    figure = Figure(figsize=_A4_INCHES)
    whose = "the network's, corrected by hand" if is_corrected else "the network's, as it is"
    head = f"Mask: {whose}. kits_tf {__version__}, {date.today().isoformat()}.\n{_NOTICE}"
    alarm = [textwrap.fill(f"WARNING: {text}", _LINE_LENGTH) for text in warnings]
    figure.text(0.08, 0.94, f"{case.case_id}: kidneys and lesions", fontsize=16, wrap=True)
    figure.text(0.08, 0.92, head, fontsize=9, va="top")
    figure.text(0.08, 0.89, "\n".join(alarm), fontsize=9, va="top", weight="bold")
    heads = ["", *(f"{kidney.side} kidney" for kidney in measurements.kidneys)]
    _table(figure, (0.08, 0.55, 0.84, 0.3), heads, _kidney_rows(measurements))
    if measurements.lesions:
        heads = ["", "side", *(shown.words for shown in LESION)]
        _table(figure, (0.08, 0.08, 0.84, 0.43), heads, _lesion_rows(measurements))
    else:
        figure.text(0.08, 0.5, "No lesion was found. That does not mean that there is none.", fontsize=10)
    return figure


def _kidney_rows(measurements: Measurements) -> list[list[str]]:
    rows = [
        [shown.words, *(number_text(getattr(kidney, shown.field), shown.digits) for kidney in measurements.kidneys)]
        for shown in KIDNEY
    ]
    return [*rows, ["", *("; ".join(kidney.flags) for kidney in measurements.kidneys)]]


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
    table = ax.table(rows, colLabels=heads, loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.4)
