"""Which cases a report shows, and how large their pictures may be, so that the page stays a file one can send."""

from collections.abc import Mapping

from kits_tf.views.pages.evaluation_page.case import CasePlan

# Of the page, and what of it figures and volumes may take once they are written in base64.
MOST_BYTES = 30_000_000
_FIGURES_BYTES, _VOLUMES_BYTES = 12_000_000, 12_000_000
_PER_BYTE = 4 / 3  # base64
# Width of a figure in pixels, and what most figures of that width stay below, by measurement.
_FIGURE_BYTES = {1000: 190_000, 800: 140_000, 640: 100_000}
# Below this a volume shows nothing.
_SMALLEST_VOLUMES = 100_000


def examples(composites: Mapping[str, float]) -> dict[str, str]:
    """Returns the worst, the median and the best case by their composite, as far as they are different ones."""
    ranked = sorted(composites, key=lambda case_id: composites[case_id])
    chosen = {ranked[len(ranked) // 2]: "median", ranked[-1]: "best", ranked[0]: "worst"}
    by_name = {name: case_id for case_id, name in chosen.items()}
    return {name: by_name[name] for name in ("worst", "median", "best") if name in by_name}


def plan(composites: Mapping[str, float], num_evaluations: int, with_viewer: bool) -> dict[str, CasePlan]:
    """Returns what to make of each case: the more there are the less, and at last only of the examples and the worst.

    Args:
        composites: score of each case, one at least.
        num_evaluations: figures of a case.
        with_viewer: whether the page has the viewer.
    """
    worst_first = sorted(composites, key=lambda case_id: composites[case_id])
    ranks = {
        case_id: rank for rank, case_id in enumerate(dict.fromkeys([*examples(composites).values(), *worst_first]))
    }
    width, with_figures = _figures(len(composites), num_evaluations)
    each, with_volumes = _volumes(len(composites)) if with_viewer else (0, 0)
    return {
        case_id: CasePlan(width * (ranks[case_id] < with_figures), each * (ranks[case_id] < with_volumes))
        for case_id in composites
    }


def _figures(num_cases: int, num_evaluations: int) -> tuple[int, int]:
    """Returns the width of figures, and how many cases have them."""
    for width, size in _FIGURE_BYTES.items():
        most = int(_FIGURES_BYTES / _PER_BYTE / size / num_evaluations)
        if num_cases <= most:
            return width, num_cases
    return width, most


def _volumes(num_cases: int) -> tuple[int, int]:
    """Returns the bytes of a case's volumes, and how many cases have them."""
    total = int(_VOLUMES_BYTES / _PER_BYTE)
    count = min(num_cases, total // _SMALLEST_VOLUMES)
    return total // count, count
