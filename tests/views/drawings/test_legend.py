import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kits_tf.ct.labels import LATERALITY
from kits_tf.views.drawings import legend, style


def test_entries_have_the_colors_and_hatches_of_what_they_stand_for() -> None:
    structures = legend.structures(LATERALITY)
    assert [entry.get_label() for entry in structures] == ["right kidney", "left kidney", "tumor"]
    assert structures[2].get_facecolor() == to_rgba(style.COLORS["tumor"])
    missed = legend.errors()[0]
    assert missed.get_label() == "missed" and missed.get_hatch() == style.ERROR_HATCHES["missed"]
    assert missed.get_edgecolor() == to_rgba(style.ERROR_COLORS["missed"])
    tint, outline = legend.tint_and_outline(has_truth=True)
    assert (tint.get_label(), outline.get_label()) == ("tint: prediction", "outline: truth")
    assert not outline.get_fill() or outline.get_facecolor()[3] == 0
    assert [entry.get_label() for entry in legend.tint_and_outline(has_truth=False)] == ["tint: prediction"]


def test_a_legend_has_as_many_rows_as_its_width_needs() -> None:
    entries = [Patch(color="white", label=f"structure {i}") for i in range(8)]
    heights = []
    for width in (12, 6, 2):
        figure = Figure(figsize=(width, 3), layout="constrained")
        figure.subplots()
        legend.add_legend(figure, entries)
        box = figure.legends[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert len(figure.legends) == 1 and box.width <= figure.bbox.width, width
        heights.append(box.height)
    assert heights[0] < heights[1] < heights[2]


def test_a_picture_of_a_legend_is_as_wide_as_asked_for_and_as_high_as_needed() -> None:
    entries = legend.structures(LATERALITY)
    wide, narrow = (legend.legend_picture(entries, width, ()) for width in (400, 150))
    assert (wide.dtype, wide.shape[1:], narrow.shape[1:]) == (np.uint8, (400, 3), (150, 3))
    assert narrow.shape[0] > wide.shape[0]
    for name in LATERALITY.classes[1:]:
        color = np.round(255 * np.array(style.rgb(name)))
        assert (wide == color).all(axis=-1).sum() > 50, name
    assert not wide[[0, -1]].any()  # nothing is cut
