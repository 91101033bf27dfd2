"""Measurements and pictures of a case on paper: a PDF of two pages."""

import io
from collections.abc import Sequence
from datetime import date

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from kits_tf import __version__
from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import Measurements
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

_A4_INCHES = (8.27, 11.69)
# The largest, as many as the page has room for.
_MOST_ROWS = 20
_NOTICE = "For research. Not a medical device. Volumes and sizes are of the mask: look at it before you use them."


def measurements_document(case: CaseMasks, found: Measurements, *, is_corrected: bool) -> bytes:
    """Returns the PDF.

    Args:
        case: with a scheme that has sides.
        found: measurements of its mask.
        is_corrected: whether a person has changed the mask.
    """
    content = io.BytesIO()
    metadata = {"Title": f"{case.case_id}: kidneys", "Creator": f"kits_tf {__version__}"}
    with PdfPages(content, metadata=metadata) as pages:
        pages.savefig(_tables(case, found, is_corrected))
        pages.savefig(case_figure(case))
    return content.getvalue()


def _tables(case: CaseMasks, found: Measurements, is_corrected: bool) -> Figure:
    figure = Figure(figsize=_A4_INCHES)
    whose = "the network's, corrected by hand" if is_corrected else "the network's, as it is"
    head = f"Mask: {whose}. kits_tf {__version__}, {date.today().isoformat()}.\n{_NOTICE}"
    figure.text(0.08, 0.94, f"{case.case_id}: kidneys and lesions", fontsize=16, wrap=True)
    figure.text(0.08, 0.92, head, fontsize=9, va="top")
    heads = ["", *(f"{kidney.side} kidney" for kidney in found.kidneys)]
    _table(figure, (0.08, 0.55, 0.84, 0.3), heads, _kidney_rows(found))
    if found.lesions:
        heads = ["", "side", *(text for _, text, _ in LESION)]
        _table(figure, (0.08, 0.08, 0.84, 0.43), heads, _lesion_rows(found))
    else:
        figure.text(0.08, 0.5, "No lesion was found. That does not mean that there is none.", fontsize=10)
    return figure


def _kidney_rows(found: Measurements) -> list[list[str]]:
    rows = [[text, *(_number(getattr(each, name), digits) for each in found.kidneys)] for name, text, digits in KIDNEY]
    return [*rows, ["", *("; ".join(kidney.flags) for kidney in found.kidneys)]]


def _lesion_rows(found: Measurements) -> list[list[str]]:
    rows = [
        [f"{each.kind} {i}", each.side or "-", *(_number(getattr(each, name), digits) for name, _, digits in LESION)]
        for i, each in enumerate(found.lesions[:_MOST_ROWS], start=1)
    ]
    left = len(found.lesions) - len(rows)
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


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
