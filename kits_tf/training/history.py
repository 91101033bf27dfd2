"""The history of a run: what each epoch reached, a row of history.csv each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kits_tf.base.files import read_table, write_table
from kits_tf.config import ValidationSettings

HISTORY = "history.csv"
_VALIDATION, _CASES = "val_", "case_"


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """What an epoch reached.

    Scores are by name: loss, kidney_dice, tumor_dice, their mean composite, and dice_CLASS of each class.

    Attributes:
        epoch: number of the epoch, from 0.
        learning_rate: learning rate after the epoch's last step.
        train: scores over the training patches.
        validation: scores over the validation patches.
        cases: Dice over whole validation cases; empty where these were not scored.
    """

    epoch: int
    learning_rate: float
    train: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    cases: Mapping[str, float] = field(default_factory=dict)

    def columns(self) -> dict[str, float]:
        """Returns the row as history.csv has it: val_ before scores of validation, case_ before those of cases."""
        columns = {"epoch": self.epoch, "learning_rate": self.learning_rate, **self.train}
        columns |= {f"{_VALIDATION}{name}": value for name, value in self.validation.items()}
        return columns | {f"{_CASES}{name}": value for name, value in self.cases.items()}

    @classmethod
    def from_columns(cls, columns: Mapping[str, float]) -> "HistoryRow":
        """Returns the row that `columns` wrote."""
        scores = {name: value for name, value in columns.items() if name not in ("epoch", "learning_rate")}

        def behind(prefix: str) -> dict[str, float]:
            return {name.removeprefix(prefix): scores[name] for name in scores if name.startswith(prefix)}

        return cls(
            epoch=int(columns["epoch"]),
            learning_rate=columns["learning_rate"],
            train={name: scores[name] for name in scores if not name.startswith((_VALIDATION, _CASES))},
            validation=behind(_VALIDATION),
            cases=behind(_CASES),
        )

    def deciding_scores(self, settings: ValidationSettings) -> Mapping[str, float]:
        """Returns the scores by which the best epoch is chosen; empty if the epoch has none."""
        return self.cases if settings.whole_cases_every else self.validation


def read_history(run_dir: Path) -> list[HistoryRow]:
    """Returns the epochs so far; none if there is no history."""
    if not (run_dir / HISTORY).exists():
        return []
    table = read_table(run_dir / HISTORY, ("epoch",)).values()
    rows = [{name: float(value) for name, value in row.items() if value} for row in table]
    return [HistoryRow.from_columns(row) for row in rows]


def write_history(run_dir: Path, history: Sequence[HistoryRow]) -> None:
    """Writes the epochs so far, under a temporary name first; what an epoch lacks is left empty."""
    rows = [row.columns() for row in history]
    write_table(run_dir / HISTORY, list(dict.fromkeys(name for row in rows for name in row)), rows)


def best_row(history: Sequence[HistoryRow], settings: ValidationSettings) -> HistoryRow | None:
    """Returns the first epoch of the best composite; None if none has been scored."""
    scored = (row for row in history if row.deciding_scores(settings))
    return max(scored, key=lambda row: row.deciding_scores(settings)["composite"], default=None)


def is_finished(history: Sequence[HistoryRow], epochs: int, settings: ValidationSettings) -> bool:
    """Returns whether a run has had all its epochs, or its best one lies --patience epochs back."""
    best = best_row(history, settings)
    waited = history[-1].epoch - best.epoch if best else 0
    return len(history) >= epochs or 0 < settings.patience <= waited
