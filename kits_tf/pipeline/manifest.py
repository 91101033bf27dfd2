"""What stands beside the shards: everything a later stage needs to know of them, in manifest.json."""

import dataclasses
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kits_tf.config import GridSettings, RecordsSettings, SplitSettings, format_value
from kits_tf.ct.labels import Scheme, find_scheme
from kits_tf.ct.layouts import CaseFiles, case_number, parse_case_numbers
from kits_tf.ct.sides import SideDecision
from kits_tf.errors import InputError
from tfrecords_tools.files import written_whole

FORMAT_VERSION = 2
FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class CaseEntry:
    """One case and its shard.

    Attributes:
        shard: file name in the folder of records.
        num_bytes: of the shard.
        sha256: of the shard.
        shape_zyx: voxels in the record.
        class_voxels: voxels of each class in the record, background first; empty for a case without a mask.
        axes: axis order of the scan's file, as in "IPL".
        sides: how left and right were told; None where they were not.
    """

    shard: str
    num_bytes: int
    sha256: str
    shape_zyx: tuple[int, int, int]
    class_voxels: tuple[int, ...]
    axes: str
    sides: SideDecision | None

    def __str__(self) -> str:
        labeled = f"{sum(self.class_voxels[1:])} voxels with a label" if self.class_voxels else "no mask"
        return f"{self.shape_zyx} voxels, {self.num_bytes / 1e6:.1f} MB; {self.sides or labeled}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Describes a folder of records.

    Attributes:
        data_dir: absolute folder that the records were converted from.
        seed: of the splits.
        grid: settings of the training grid and labels.
        splitting: settings of the splits.
        splits: case ids of "train", "validation", "test" and "unlabeled".
        cases: by case id; a conversion that was interrupted has fewer than the splits name.
        versions: of the tools that wrote it.
    """

    data_dir: str
    seed: int
    grid: GridSettings
    splitting: SplitSettings
    splits: dict[str, list[str]]
    cases: dict[str, CaseEntry] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> Scheme:
        """The label scheme of the records."""
        return find_scheme(self.grid.label_scheme, self.grid.cyst_as)

    @property
    def is_complete(self) -> bool:
        """Whether every case of the splits has its shard."""
        return all(case_id in self.cases for ids in self.splits.values() for case_id in ids)

    def class_voxels(self, split: str) -> tuple[int, ...]:
        """Returns the voxels of each class over a split, background first."""
        counts = np.array([self.cases[case_id].class_voxels for case_id in self.splits[split]])
        return tuple(counts.sum(axis=0).tolist())

    def shards(self, split: str, records_dir: str | os.PathLike) -> list[str]:
        """Returns the paths of a split's shards."""
        return [os.fspath(Path(records_dir) / self.cases[case_id].shard) for case_id in self.splits[split]]

    def check_shards(self, records_dir: str | os.PathLike) -> None:
        """Checks that every shard is there in full length.

        Raises:
            InputError: the conversion is incomplete, or a shard is missing or of another size; it is named.
        """
        if not self.is_complete:
            raise InputError(f"{records_dir}: the conversion did not finish, run convert again to complete it")
        for entry in self.cases.values():
            path = Path(records_dir) / entry.shard
            if not path.is_file():
                raise InputError(f"{path}: expected a shard of {entry.num_bytes} bytes, found no such file")
            if path.stat().st_size != entry.num_bytes:
                raise InputError(f"{path}: expected a shard of {entry.num_bytes} bytes, found {path.stat().st_size}")

    def check_settings(self, expected: RecordsSettings, records_dir: str | os.PathLike) -> None:
        """Checks that the records are what a later stage was told they are; None is no expectation.

        Raises:
            InputError: a setting differs; flag and both values are named.
        """
        actual = {**asdict(self.grid), **asdict(self.splitting)}
        for name, value in asdict(expected).items():
            if value is not None and value != actual[name]:
                found = f"--{name}={format_value(actual[name])}, expected {format_value(value)}"
                raise InputError(f"{records_dir}: was converted with {found}")

    def write(self, directory: str | os.PathLike) -> None:
        """Writes manifest.json, cases in order, under a temporary name first."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        content["cases"] = dict(sorted(content["cases"].items()))
        with written_whole(Path(directory) / FILE_NAME) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, directory: str | os.PathLike) -> "Manifest":
        """Returns the manifest of a folder of records or of a run.

        Raises:
            InputError: there is none, it is no manifest, or it has another format version.
        """
        path = Path(directory) / FILE_NAME
        if not path.is_file():
            raise InputError(f"{path}: expected the manifest that convert writes, found no such file")
        try:
            content = json.loads(path.read_text())
            version = content.pop("format_version")
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: expected a manifest in JSON: {type(error).__name__} {error}") from None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: expected format version {FORMAT_VERSION}, found {version}: convert again into a new folder"
            )
        try:
            return cls._from_json(content)
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: expected the fields of format version {FORMAT_VERSION}: {error}") from None

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> "Manifest":
        content["grid"] = GridSettings(**_tuples(content["grid"]))
        content["splitting"] = SplitSettings(**content["splitting"])
        content["cases"] = {name: _entry(entry) for name, entry in content["cases"].items()}
        return cls(**content)

    def differences(self, other: "Manifest") -> list[str]:
        """Returns the settings that differ, each as "--flag: this value, not that one"."""
        found = []
        for group in ("grid", "splitting"):
            mine, theirs = getattr(self, group), getattr(other, group)
            for item in dataclasses.fields(mine):
                ours, others = getattr(mine, item.name), getattr(theirs, item.name)
                if ours != others:
                    found.append(f"--{item.name}: {format_value(ours)}, not {format_value(others)}")
        for name in ("seed", "data_dir"):
            if getattr(self, name) != getattr(other, name):
                found.append(f"--{name}: {getattr(self, name)}, not {getattr(other, name)}")
        if not found and self.splits != other.splits:
            found.append("the cases themselves")
        return found


def assign_splits(cases: list[CaseFiles], settings: SplitSettings, seed: int) -> dict[str, list[str]]:
    """Returns the case ids of "train", "validation", "test" and "unlabeled", each in order.

    Cases without a mask are unlabeled. Of the others, those numbered in `test_cases` are the test; of the rest
    `validation_fraction`, rounded, but at least one, validates.

    Raises:
        InputError: fewer than two labeled cases are left for training and validation.
    """
    test_numbers = parse_case_numbers(settings.test_cases)
    labeled = [case.case_id for case in cases if case.labels is not None]
    test = [c for c in labeled if case_number(c) in test_numbers]
    others = [c for c in labeled if case_number(c) not in test_numbers]
    if len(others) < 2:
        raise InputError(
            f"expected two or more labeled cases outside --test_cases={settings.test_cases}, got {len(others)}"
        )
    count = min(len(others) - 1, max(1, round(settings.validation_fraction * len(others))))
    drawn = np.random.default_rng(seed).choice(len(others), count, replace=False)
    validation = [others[i] for i in sorted(drawn)]
    return {
        "train": [c for c in others if c not in validation],
        "validation": validation,
        "test": test,
        "unlabeled": [case.case_id for case in cases if case.labels is None],
    }


def _entry(content: dict[str, Any]) -> CaseEntry:
    sides = content.pop("sides")
    return CaseEntry(**_tuples(content), sides=None if sides is None else SideDecision(**sides))


def _tuples(content: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
