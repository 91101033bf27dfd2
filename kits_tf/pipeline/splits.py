"""Splits and folds: the cases that train, validate and test."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text
from kits_tf.config import SplitSettings
from kits_tf.ct.layouts import CaseFiles, case_number, parse_case_numbers


def assign_splits(cases: Sequence[CaseFiles], settings: SplitSettings, seed: int) -> dict[str, list[str]]:
    """Returns the case ids of "train", "validation", "test" and "unlabeled", each in order.

    Cases without a mask are unlabeled. Of the others, those numbered in `test_cases` are the test; of the rest
    `validation_fraction`, rounded, but at least one, validates. With `splits_file` that file lists them instead.

    Args:
        cases: cases of the data set, without those that `included_cases` leaves out.
        settings: settings of the splits.
        seed: random seed of the draw.

    Raises:
        InputError: fewer than two labeled cases are left for training and validation, or the file does not fit.
    """
    labeled = [case.case_id for case in cases if case.labels is not None]
    unlabeled = [case.case_id for case in cases if case.labels is None]
    if settings.splits_file:
        return _listed(Path(settings.splits_file), labeled) | {"unlabeled": unlabeled}
    test_numbers = parse_case_numbers(settings.test_cases)
    test = [c for c in labeled if case_number(c) in test_numbers]
    others = [c for c in labeled if case_number(c) not in test_numbers]
    if len(others) < 2:
        raise InputError(
            f"expected two or more labeled cases outside --test_cases={settings.test_cases}, got {len(others)}"
        )
    count = min(len(others) - 1, max(1, round(settings.validation_fraction * len(others))))
    drawn = np.random.default_rng(seed).choice(len(others), count, replace=False)
    validation = [others[i] for i in sorted(drawn)]
    held_back = set(validation)
    train = [c for c in others if c not in held_back]
    return {"train": train, "validation": validation, "test": test, "unlabeled": unlabeled}


def included_cases(cases: Sequence[CaseFiles], settings: SplitSettings) -> list[CaseFiles]:
    """Returns the cases but those of `exclude_cases`."""
    excluded = parse_case_numbers(settings.exclude_cases)
    return [case for case in cases if case_number(case.case_id) not in excluded]


def make_folds(splits: dict[str, list[str]], num_folds: int, seed: int) -> list[list[str]]:
    """Returns `num_folds` parts of the training and validation cases, drawn by seed, sizes within one; each in order.

    There are never more parts than cases.
    """
    ids = sorted(splits["train"] + splits["validation"])
    num_folds = min(num_folds, len(ids))
    shuffled = np.random.default_rng(seed).permutation(len(ids))
    return [[ids[i] for i in sorted(shuffled[fold::num_folds])] for fold in range(num_folds)]


def _listed(path: Path, labeled: list[str]) -> dict[str, list[str]]:
    try:
        content = json.loads(read_text(path))
        splits = {name: sorted(map(str, content.get(name, []))) for name in ("train", "validation", "test")}
    except FileNotFoundError:
        raise InputError(f"{path}: expected the file that --splits_file names, found none") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f'{path}: expected JSON {{"train": [ids], "validation": [...], "test": [...]}}: {error}'
        ) from None
    if unknown := set(content) - set(splits):
        raise InputError(f"{path}: expected train, validation and test, found {', '.join(sorted(unknown))}")
    counts = Counter(sorted(case_id for ids in splits.values() for case_id in ids))
    known = set(labeled)
    for case_id, count in counts.items():
        if case_id not in known:
            raise InputError(f"{path}: expected labeled cases of the data set, found {case_id}")
        if count > 1:
            raise InputError(f"{path}: expected every case once, found {case_id} {count} times")
    if not splits["train"] or not splits["validation"]:
        raise InputError(f"{path}: expected one or more cases in train and in validation")
    if missing := sorted(known - set(counts)):
        raise InputError(
            f"{path}: expected every labeled case, {', '.join(missing)} missing; --exclude_cases drops some"
        )
    return splits
