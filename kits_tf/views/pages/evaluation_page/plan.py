"""Planning the page: which cases have pictures, and how large, so that the page stays a file one can send."""

from collections.abc import Mapping

from kits_tf.views.pages.evaluation_page.case import CasePlan

# Largest page in bytes; figures and volumes, in base64, may take two fifths of it each.
MOST_BYTES = 30_000_000
_FIGURES_BYTES = _VOLUMES_BYTES = 2 * MOST_BYTES // 5
_BASE64_BYTES_PER_BYTE = 4 / 3
# Bytes that most figures of a width in pixels stay below, by measurement.
_FIGURE_BYTES = {1000: 190_000, 800: 140_000, 640: 100_000}
# The volumes of a case show nothing if they have fewer bytes.
_SMALLEST_VOLUMES = 100_000


def examples(composites: Mapping[str, float]) -> dict[str, str]:
    """Returns the worst, the median and the best case by their composite, as far as they are different ones."""
    ranked = sorted(composites, key=composites.__getitem__)
    chosen = {ranked[len(ranked) // 2]: "median", ranked[-1]: "best", ranked[0]: "worst"}
    by_name = {name: case_id for case_id, name in chosen.items()}
    return {name: by_name[name] for name in ("worst", "median", "best") if name in by_name}


def plan(composites: Mapping[str, float], num_evaluations: int, with_viewer: bool) -> dict[str, CasePlan]:
    """Returns the plan of each case: smaller pictures for more cases, at last none but those of examples and the worst.

    Args:
        composites: composite of each case, one at least.
        num_evaluations: number of figures of a case.
        with_viewer: whether the page has the viewer.
    """
    worst_first = sorted(composites, key=composites.__getitem__)
    by_rank = list(dict.fromkeys([*examples(composites).values(), *worst_first]))
    width, num_with_figures = _figures(len(composites), num_evaluations)
    volume_bytes, num_with_volumes = _volumes(len(composites)) if with_viewer else (0, 0)
    with_figures, with_volumes = set(by_rank[:num_with_figures]), set(by_rank[:num_with_volumes])
    return {
        case_id: CasePlan(
            figure_width=width if case_id in with_figures else 0,
            volume_bytes=volume_bytes if case_id in with_volumes else 0,
        )
        for case_id in composites
    }


def _figures(num_cases: int, num_evaluations: int) -> tuple[int, int]:
    """Returns the width of figures, and how many cases have them."""
    for width, size in _FIGURE_BYTES.items():
        most = int(_FIGURES_BYTES / _BASE64_BYTES_PER_BYTE / size / num_evaluations)
        if num_cases <= most:
            return width, num_cases
    return width, most


def _volumes(num_cases: int) -> tuple[int, int]:
    """Returns the bytes of a case's volumes, and how many cases have them."""
    total = int(_VOLUMES_BYTES / _BASE64_BYTES_PER_BYTE)
    count = min(num_cases, total // _SMALLEST_VOLUMES)
    return total // count, count
