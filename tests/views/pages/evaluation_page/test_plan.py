import pytest

from kits_tf.views.pages.evaluation_page.case import CasePlan
from kits_tf.views.pages.evaluation_page.plan import _FIGURE_BYTES, MOST_BYTES, examples, plan

NIIVUE = 2_200_000


@pytest.mark.parametrize("evaluations", [1, 2])
@pytest.mark.parametrize("cases", [1, 36, 80, 210, 1000])
def test_what_is_planned_fits(cases: int, evaluations: int) -> None:
    wanted = plan({f"case_{i:05d}": i / cases for i in range(cases)}, evaluations, True)
    figures = sum(_FIGURE_BYTES[w.figure_width] * evaluations for w in wanted.values() if w.figure_width)
    volumes = sum(w.volume_bytes for w in wanted.values())
    thumbnails = 8_000 * cases
    assert (figures + volumes + thumbnails) * 4 / 3 + NIIVUE + 1500 * cases < MOST_BYTES * (1 if cases < 500 else 1.3)
    assert wanted["case_00000"].figure_width and wanted["case_00000"].volume_bytes >= 100_000


def test_few_cases_have_all_and_of_many_the_worst_have() -> None:
    few = plan({"a": 0.9, "b": 0.1}, 1, True)
    assert few["a"] == few["b"] and few["a"].figure_width == 1000
    assert plan({"a": 0.9}, 1, False) == {"a": CasePlan(1000, 0)}
    many = plan({str(i): i / 300 for i in range(300)}, 1, True)
    with_figures = [int(name) for name, each in many.items() if each.figure_width]
    with_volumes = [int(name) for name, each in many.items() if each.volume_bytes]
    assert with_figures == with_volumes == [*range(88), 150, 299]  # the worst; and the median and the best, as examples
    assert list(many) == [str(i) for i in range(300)]  # in the order of the cases


def test_examples_are_the_worst_the_median_and_the_best() -> None:
    assert examples({"a": 0.5, "b": 0.9, "c": 0.1, "d": 0.7}) == {"worst": "c", "median": "d", "best": "b"}
    assert examples({"a": 0.5, "b": 0.9}) == {"worst": "a", "best": "b"}
    assert examples({"a": 0.5}) == {"worst": "a"}
