import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from kits_tf.views.drawings import canvas, style
from kits_tf.views.pages.evaluation_page.charts import bland_altman, score_boxes

SCORES = {f"case_{i:05d}": {"kidney_dice": 0.9 + i / 100, "tumor_dice": i / 5} for i in range(5)}
NAMES = {"kidney": "kidney_dice", "tumor": "tumor_dice"}


def test_a_box_has_the_quartiles_and_each_case_a_point() -> None:
    ax = score_boxes("Dice", NAMES, {"a": SCORES}).axes[0]
    kidney, tumor = (collection.get_offsets() for collection in ax.collections)
    np.testing.assert_allclose(kidney[:, 1], [0.9, 0.91, 0.92, 0.93, 0.94])
    np.testing.assert_allclose(tumor[:, 1], [0, 0.2, 0.4, 0.6, 0.8])
    assert (abs(kidney[:, 0]) < 0.2).all() and (abs(tumor[:, 0] - 1) < 0.2).all()
    assert len(set(kidney[:, 0])) == 5  # side by side
    box = ax.patches[1].get_path().vertices[:, 1]
    assert (box.min(), box.max()) == pytest.approx((0.2, 0.6))
    assert any(np.allclose(line.get_ydata(), 0.4) for line in ax.lines)  # the median
    assert [label.get_text() for label in ax.get_xticklabels()] == ["kidney", "tumor"]


def test_a_second_evaluation_stands_beside_the_first_and_is_hollow() -> None:
    ax = score_boxes("Dice", NAMES, {"a": SCORES, "b": SCORES}).axes[0]
    first, second = ax.collections[:2]
    assert first.get_offsets()[:, 0].max() < second.get_offsets()[:, 0].min()
    assert len(first.get_facecolor()) and not len(second.get_facecolor())
    assert [patch.get_facecolor()[3] for patch in ax.patches[:2]] == [0.35, 0.0]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_chart_has_a_legend() -> None:
    box = ["box: median and quartiles", "whiskers: last case within 1.5 box lengths"]
    assert legend_of(score_boxes("Dice", NAMES, {"a": SCORES})) == ["a case", *box]
    both = score_boxes("Dice", NAMES, {"a": SCORES, "b": SCORES})
    assert legend_of(both) == ["a case, first", "a case, second", *box]
    first, second = both.legends[0].get_lines()[:2]
    assert (first.get_fillstyle(), second.get_fillstyle()) == ("full", "none")
    true, errors = {"a": 1.0, "b": 2.0}, {"a": 0.5, "b": 0.25}
    assert legend_of(bland_altman("tumor", true, [errors])[0]) == ["a case", "bias", "limits of agreement"]
    figure, _ = bland_altman("tumor", true, [errors, errors])
    names = ["a case, first", "a case, second", "bias, first", "bias, second", "limits of agreement"]
    assert legend_of(figure) == names
    drawn = [line.get_linestyle() for line in figure.axes[0].lines]
    assert drawn == ["-", ":", ":", "--", ":", ":"]
    assert [line.get_linestyle() for line in figure.legends[0].get_lines()[2:]] == ["-", "--", ":"]


def test_points_are_links_and_text_has_the_color_of_the_page() -> None:
    element = canvas.svg(score_boxes("Dice", NAMES, {"a": SCORES}))
    assert element.startswith("<svg") and element.rstrip().endswith("</svg>")
    links = re.findall(r'xlink:href="#(case_\d+)"', element)
    assert sorted(links) == sorted([*SCORES, *SCORES])
    assert "target=" not in element  # or each click would open the page anew
    assert "currentColor" in element and "#ffffff" not in element.lower()
    assert style.COLORS["tumor"].lower() in element and ">kidney</text>" in element
    assert element == canvas.svg(score_boxes("Dice", NAMES, {"a": SCORES}))  # the same chart, the same file


def test_bland_altman_by_hand() -> None:
    true = {"a": 100.0, "b": 200.0, "c": 300.0}
    errors = {"a": -2.0, "b": 0.0, "c": 8.0}
    figure, [(bias, low, high)] = bland_altman("tumor", true, [errors])
    deviation = np.sqrt((4**2 + 2**2 + 6**2) / 2)
    assert bias == 2 and (low, high) == pytest.approx((2 - 1.96 * deviation, 2 + 1.96 * deviation))
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, [[99, -2], [200, 0], [304, 8]])
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines]
    assert levels == pytest.approx([bias, low, high])


def test_bland_altman_of_one_case_has_no_limits() -> None:
    _, [(bias, low, high)] = bland_altman("tumor", {"a": 5.0}, [{"a": 1.0}])
    assert bias == 1 and np.isnan(low) and np.isnan(high)
