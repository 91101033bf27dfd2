from dataclasses import replace
from pathlib import Path

import pytest

from kits_tf.training.history import HistoryRow
from kits_tf.views.drawings import canvas
from kits_tf.views.drawings.learning_curves import learning_curves

HISTORY = [
    HistoryRow(
        epoch=i,
        learning_rate=0.1 / (i + 1),
        train={"loss": 3.0 - i, "kidney_dice": 0.1 * i, "tumor_dice": 0.0},
        validation={"loss": 3.5 - i, "kidney_dice": 0.2 * i, "tumor_dice": 0.1},
        cases={"kidney_dice": 0.7, "tumor_dice": 0.3} if i == 2 else {},
    )
    for i in range(3)
]


def test_each_column_is_drawn() -> None:
    loss, dice, rate = learning_curves("runs/base", HISTORY, best=1).axes
    lines = {line.get_label(): line.get_xydata().tolist() for ax in (loss, dice, rate) for line in ax.lines}
    assert lines["loss, training"] == [[1, 3], [2, 2], [3, 1]]
    assert lines["loss, validation patches"] == [[1, 3.5], [2, 2.5], [3, 1.5]]
    assert lines["kidney, validation patches"] == [[1, 0], [2, 0.2], [3, 0.4]]
    assert lines["tumor, whole validation cases"] == [[3, 0.3]]
    assert rate.lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.05], [3, pytest.approx(0.1 / 3)]]
    assert all(ax.lines[-1].get_xdata()[0] == 2 for ax in (loss, dice, rate))  # the best epoch


def test_every_chart_has_a_legend_that_explains_its_lines() -> None:
    axes = learning_curves("runs/base", HISTORY, best=1).axes
    legends = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in axes]
    assert legends == [
        ["loss, training", "loss, validation patches", "kept weights: epoch 2"],
        [
            *("kidney, training", "kidney, validation patches", "kidney, whole validation cases"),
            *("tumor, training", "tumor, validation patches", "tumor, whole validation cases"),
            "kept weights: epoch 2",
        ],
        ["learning rate", "kept weights: epoch 2"],
    ]
    without = learning_curves("runs/base", HISTORY).axes[2].get_legend()
    assert [text.get_text() for text in without.get_texts()] == ["learning rate"]


def test_the_axis_of_the_learning_rate_begins_at_zero() -> None:
    constant = [replace(row, learning_rate=0.002) for row in HISTORY]
    for history, highest in ((HISTORY, 0.1), (constant, 0.002), ([replace(HISTORY[0], learning_rate=0.0)], 1 / 1.1)):
        low, high = learning_curves("runs/base", history).axes[2].get_ylim()
        assert low == 0 and high == pytest.approx(1.1 * highest), history


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    canvas.save(learning_curves("runs/base", HISTORY[:1]), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
