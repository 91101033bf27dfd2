from pathlib import Path

from kits_tf.config import ValidationSettings
from kits_tf.training.history import HISTORY, HistoryRow, best_row, read_history, write_history

ROWS = [
    HistoryRow(epoch=0, learning_rate=0.001, train={"loss": 2.5}, validation={"loss": 0.1, "composite": 0.25}),
    HistoryRow(
        epoch=1,
        learning_rate=0.001,
        train={"loss": 2.0},
        validation={"loss": 0.3, "composite": 0.125},
        cases={"composite": 0.5},
    ),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    write_history(tmp_path, ROWS)
    assert (tmp_path / HISTORY).read_text().splitlines() == [
        "epoch,learning_rate,loss,val_loss,val_composite,case_composite",
        "0,0.001,2.5,0.1,0.25,",
        "1,0.001,2.0,0.3,0.125,0.5",
    ]
    assert read_history(tmp_path) == ROWS


def test_patches_or_cases_choose_the_best_epoch() -> None:
    assert best_row([], ValidationSettings()) is None
    assert best_row(ROWS, ValidationSettings()) is ROWS[0]
    assert best_row(ROWS, ValidationSettings(whole_cases_every=2)) is ROWS[1]
    assert best_row(ROWS[:1], ValidationSettings(whole_cases_every=2)) is None
