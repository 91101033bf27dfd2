"""Tables as CSV files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfrecords_tools.files import written_whole


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping]) -> None:
    """Writes rows, each with all columns, under a temporary name first."""
    with written_whole(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
