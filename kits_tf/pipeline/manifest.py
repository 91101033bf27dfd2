"""manifest.json, beside the shards: all that later stages need to know about them."""

import dataclasses
import json
import os
from dataclasses import asdict, dataclass, field

import numpy as np
from cattrs import BaseValidationError, transform_error

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text, write_text
from kits_tf.base.paths import AnyPath, as_path
from kits_tf.base.results import JSON
from kits_tf.base.settings import format_value
from kits_tf.config import GridSettings, RecordsSettings, SplitSettings
from kits_tf.ct.case_facts import CaseFacts
from kits_tf.ct.findings import Finding, audit
from kits_tf.ct.geometry import Triple
from kits_tf.ct.hu_statistics import HuStatistics, pooled_mean_std
from kits_tf.ct.labels import Scheme, scheme_of
from kits_tf.ct.sides import SideDecision
from tfrecords_tools.index import MANIFEST_NAME, Shard

FORMAT_VERSION = 4


@dataclass(frozen=True, kw_only=True)
class CaseEntry:
    """One case of a manifest.

    Attributes:
        shape_zyx: voxels in the record.
        class_voxels: voxels of each class in the record, background first; empty for a case without a mask.
        sides: decision about left and right; None where none was needed.
        hu_foreground: statistics of the record's HU where there is a label; None where there is none.
        hu_body: statistics of the record's HU above BODY_HU; None where there is none.
        inputs_sha256: digest of each file that it was made from: the scan's, and the mask's if there is one.
        source: facts of those files, at native size.
    """

    shape_zyx: Triple
    class_voxels: tuple[int, ...]
    sides: SideDecision | None
    hu_foreground: HuStatistics | None
    hu_body: HuStatistics | None
    inputs_sha256: tuple[str, ...]
    source: CaseFacts

    def __str__(self) -> str:
        labeled = f"{sum(self.class_voxels[1:])} voxels with a label" if self.class_voxels else "no mask"
        return f"{self.shape_zyx} voxels; {self.sides or labeled}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Describes a folder of records.

    Attributes:
        data_dir: absolute folder that the records were converted from.
        seed: random seed of the splits.
        grid: settings of the training grid and labels.
        splitting: settings of the splits.
        splits: case ids of "train", "validation", "test" and "unlabeled".
        folds: case ids of each part of the training and validation cases, for cross-validation.
        shards: size, digest and cases of each shard, by file name.
        cases: entries by case id; a conversion that was interrupted has fewer than the splits name.
        versions: versions of the packages that wrote it, by name.
        data_note: what masks of networks trained on the records are to say of the data; "" for nothing.
    """

    data_dir: str
    seed: int
    grid: GridSettings
    splitting: SplitSettings
    splits: dict[str, list[str]]
    folds: list[list[str]] = field(default_factory=list)
    shards: dict[str, Shard] = field(default_factory=dict)
    cases: dict[str, CaseEntry] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    data_note: str = ""

    @property
    def scheme(self) -> Scheme:
        """The label scheme of the records."""
        return scheme_of(self.grid)

    @property
    def is_complete(self) -> bool:
        """Whether every case of the splits is in a shard."""
        held = {case_id for shard in self.shards.values() for case_id in shard.examples} & set(self.cases)
        return all(case_id in held for ids in self.splits.values() for case_id in ids)

    def of_fold(self, fold: int) -> "Manifest":
        """Returns this manifest with a fold as "validation" and the other folds as "train".

        Raises:
            InputError: there is no such fold.
        """
        if fold >= len(self.folds):
            raise InputError(f"--fold: expected a number below {len(self.folds)}, the records' folds, got {fold}")
        train = sorted(case_id for i, ids in enumerate(self.folds) for case_id in ids if i != fold)
        return dataclasses.replace(self, splits=self.splits | {"train": train, "validation": self.folds[fold]})

    def class_voxels(self, split: str) -> tuple[int, ...]:
        """Returns the voxels of each class over a split, background first."""
        return tuple(np.sum([self.cases[case_id].class_voxels for case_id in self.splits[split]], axis=0).tolist())

    def findings(self) -> list[Finding]:
        """Returns what an audit finds in the cases' files."""
        return audit({case_id: entry.source for case_id, entry in sorted(self.cases.items())})

    def foreground_mean_std(self, split: str) -> tuple[float, float]:
        """Returns mean and standard deviation in HU of all labeled voxels of a split; (0, 0) if there are none."""
        parts = [self.cases[case_id].hu_foreground for case_id in self.splits[split]]
        return pooled_mean_std(part for part in parts if part)

    def shard_paths(self, split: str, records_dir: str | os.PathLike) -> dict[str, int]:
        """Returns the paths of a split's shards, and how many cases each holds.

        Raises:
            InputError: a shard holds cases of this and of another split.
        """
        of_split = set(self.splits[split])
        paths = {}
        for name, shard in self.shards.items():
            path = as_path(records_dir) / name
            others = set(shard.examples) - of_split
            if others and len(others) < len(shard.examples):
                raise InputError(
                    f"{path}: expected cases of one split, {min(others)} is not of {split}; folds need one case a shard"
                )
            if not others:
                paths[os.fspath(path)] = len(shard.examples)
        return paths

    def check_shards(self, records_dir: str | os.PathLike) -> None:
        """Checks that every shard is there in full length.

        Raises:
            InputError: the conversion is incomplete, or a shard is missing or of another size; it is named.
        """
        if not self.is_complete:
            raise InputError(f"{records_dir}: the conversion did not finish, run convert again to complete it")
        for name, shard in self.shards.items():
            path = as_path(records_dir) / name
            if not path.is_file():
                raise InputError(f"{path}: expected a shard of {shard.num_bytes} bytes, found no such file")
            _check_readable(path)
            if path.stat().st_size != shard.num_bytes:
                raise InputError(f"{path}: expected a shard of {shard.num_bytes} bytes, found {path.stat().st_size}")

    def check_settings(self, expected: RecordsSettings, records_dir: str | os.PathLike) -> None:
        """Checks that the records are what a later stage expects; None is no expectation.

        Raises:
            InputError: a setting differs; flag and both values are named.
        """
        actual = {**asdict(self.grid), **asdict(self.splitting)}
        for name, value in asdict(expected).items():
            if value is not None and value != actual[name]:
                flag = f"--{name}={format_value(actual[name])}, expected {format_value(value)}"
                raise InputError(f"{records_dir}: was converted with {flag}")

    def same_records(self, other: "Manifest") -> bool:
        """Returns whether both describe the same files, converted in the same way into the same shards.

        Where files and records lie may differ, and statistics of HU: CPUs differ in how they round.
        """
        return self._origin() == other._origin()

    def _origin(self) -> tuple:
        """Returns all that decides the content of the records, up to rounding."""
        cases = {
            case_id: (entry.inputs_sha256, entry.shape_zyx, entry.class_voxels) for case_id, entry in self.cases.items()
        }
        examples = {name: shard.examples for name, shard in self.shards.items()}
        return self.versions.get("kits_tf"), self.grid, self.splits, self.folds, examples, cases

    def to_json(self) -> str:
        """Returns the text of manifest.json, cases in order."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        for name in ("shards", "cases"):
            content[name] = dict(sorted(content[name].items()))
        return json.dumps(content, indent=1) + "\n"

    def write(self, directory: str | os.PathLike) -> None:
        """Writes manifest.json under a temporary name first."""
        write_text(as_path(directory) / MANIFEST_NAME, self.to_json())

    @classmethod
    def read(cls, directory: str | os.PathLike) -> "Manifest":
        """Returns the manifest of a folder of records or of a run.

        Raises:
            InputError: it is missing, is not a manifest, or has another format version.
        """
        path = as_path(directory) / MANIFEST_NAME
        if not path.is_file():
            raise InputError(f"{path}: expected the manifest that convert writes, found no such file")
        try:
            content = json.loads(read_text(path))
            version = content.pop("format_version")
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: expected a manifest in JSON: {type(error).__name__} {error}") from None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: expected format version {FORMAT_VERSION}, found {version}: convert again into a new folder"
            )
        try:
            return JSON.structure(content, cls)
        except BaseValidationError as error:
            reasons = "; ".join(transform_error(error))
            raise InputError(f"{path}: expected the fields of format version {FORMAT_VERSION}: {reasons}") from None

    def differences(self, other: "Manifest") -> list[str]:
        """Returns the settings that differ, each as "--flag: this value, not that one"."""
        changes = []
        for group in ("grid", "splitting"):
            own, others = asdict(getattr(self, group)), asdict(getattr(other, group))
            for name, value in own.items():
                if value != others[name]:
                    changes.append(f"--{name}: {format_value(value)}, not {format_value(others[name])}")
        for name in ("seed", "data_dir"):
            if getattr(self, name) != getattr(other, name):
                changes.append(f"--{name}: {getattr(self, name)}, not {getattr(other, name)}")
        if not changes and self.splits != other.splits:
            changes.append("the cases themselves")
        return changes


def _check_readable(path: AnyPath) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise InputError(f"{path}: expected a shard that can be read: {error.strerror or error}") from None
