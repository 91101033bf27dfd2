"""What is wrong or odd about the cases of a data set, by severity.

An error means that the files cannot be trusted; a warning that a score or a volume from them may mislead; a note
that a person may want to look. A rule is one function, decorated by `CASE_RULES.register` or
`DATA_SET_RULES.register`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from kits_tf.base.registry import Registry
from kits_tf.ct.case_facts import TUMOR_ML, CaseFacts
from kits_tf.ct.hounsfield import AIR_HU
from kits_tf.ct.layouts import case_number

SEVERITIES = ("error", "warning", "note")
# Means over kidney and tumor, from unenhanced fat-poor tissue to an arterial phase.
_KIDNEY_HU = (-50, 400)
# What kidneys measure where 1024 or 1000 is added to HU.
_OFFSET_KIDNEY_HU = (900, 1500)
# KiTS19: corrected upstream in December 2019, and still on nnU-Net's list of exclusions.
_CORRECTED, _EXCLUDED = (15, 23, 37, 125), (68, 133)
# Fewer cases have no usual range.
_CASES_FOR_A_RANGE = 8


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about one case.

    Attributes:
        severity: one of SEVERITIES.
        code: kind of thing, as "cut_off".
        case_id: id of the case.
        message: one line for a person.

    Raises:
        ValueError: no such severity.
    """

    severity: str
    code: str
    case_id: str
    message: str

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity: expected one of {', '.join(SEVERITIES)}, got {self.severity}")


# What the facts of one case show: functions (case id, facts) -> findings.
CASE_RULES: Registry[Callable[[str, CaseFacts], Iterable[Finding]]] = Registry("rule for a case")
# What only all cases together show: functions (facts by case id) -> findings.
DATA_SET_RULES: Registry[Callable[[Mapping[str, CaseFacts]], Iterable[Finding]]] = Registry("rule for a data set")


def audit(cases: Mapping[str, CaseFacts]) -> list[Finding]:
    """Returns all findings, errors first, then by code and case; [] for no cases."""
    findings = [finding for case_id, facts in cases.items() for finding in case_findings(case_id, facts)]
    for rule in DATA_SET_RULES.values():
        findings += rule(cases)
    return ordered(findings)


def ordered(findings: list[Finding]) -> list[Finding]:
    """Returns findings by severity, code and case."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code, f.case_id, f.message))


def case_findings(case_id: str, facts: CaseFacts) -> list[Finding]:
    """Returns what the facts of one case alone show."""
    return [finding for rule in CASE_RULES.values() for finding in rule(case_id, facts)]


@CASE_RULES.register("not_hounsfield")
def _not_hounsfield(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    kidney = facts.labels.hu_mean if facts.labels else None
    if facts.hounsfield_problem:
        yield Finding(severity="error", code="not_hounsfield", case_id=case_id, message=facts.hounsfield_problem)
    elif facts.hu_range[1] <= AIR_HU[1]:
        message = "values {}..{}: air alone, no body".format(*facts.hu_range)
        yield Finding(severity="error", code="not_hounsfield", case_id=case_id, message=message)
    elif kidney is not None and _OFFSET_KIDNEY_HU[0] <= kidney <= _OFFSET_KIDNEY_HU[1]:
        message = f"expected Hounsfield units, got a mean of {kidney:.0f} in the kidneys: was an offset of 1024 lost?"
        yield Finding(severity="error", code="not_hounsfield", case_id=case_id, message=message)
    elif kidney is not None and not _KIDNEY_HU[0] <= kidney <= _KIDNEY_HU[1]:
        message = (
            f"mean of {kidney:.0f} HU under the mask, expected {_KIDNEY_HU[0]}..{_KIDNEY_HU[1]}: is it this scan's?"
        )
        yield Finding(severity="warning", code="kidney_hu", case_id=case_id, message=message)


@CASE_RULES.register("saturated")
def _saturated(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    limits, (low, high) = np.iinfo(np.int16), facts.hu_range
    if low == limits.min or high == limits.max:
        message = f"values reach {low}..{high}, the ends of int16: clipped"
        yield Finding(severity="warning", code="saturated", case_id=case_id, message=message)


@CASE_RULES.register("no_kidney")
def _no_kidney(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if facts.labels and "kidney" not in facts.labels.volumes_ml:
        yield Finding(severity="warning", code="no_kidney", case_id=case_id, message="the mask has no voxel of kidney")


@CASE_RULES.register("cut_off")
def _cut_off(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if facts.labels and facts.labels.scan_ends:
        ends = " and ".join(facts.labels.scan_ends)
        message = f"labels reach the {ends} end of the scan: volumes are incomplete"
        yield Finding(severity="warning", code="cut_off", case_id=case_id, message=message)


@CASE_RULES.register("doubtful")
def _doubtful(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if not facts.labels or "cyst" in facts.labels.volumes_ml or not case_id.startswith("case_"):
        return  # KiTS21 and KiTS23 drew all masks anew
    if case_number(case_id) in _CORRECTED:
        message = "KiTS19 corrected this mask in December 2019: is yours from before?"
        yield Finding(severity="warning", code="doubtful_label", case_id=case_id, message=message)
    if case_number(case_id) in _EXCLUDED:
        message = "nnU-Net leaves this KiTS19 case out for its label"
        yield Finding(severity="warning", code="doubtful_label", case_id=case_id, message=message)


@CASE_RULES.register("one_part")
def _one_part(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if facts.labels and facts.labels.parts == 1:
        message = "one connected part: a single kidney, or two that touch"
        yield Finding(severity="note", code="one_part", case_id=case_id, message=message)


@CASE_RULES.register("specks")
def _specks(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if facts.labels and facts.labels.specks:
        count = facts.labels.specks
        message = f"{count} small part{'s' if count > 1 else ''} apart from the kidneys"
        yield Finding(severity="note", code="specks", case_id=case_id, message=message)


@CASE_RULES.register("several_tumors")
def _several_tumors(case_id: str, facts: CaseFacts) -> Iterator[Finding]:
    if facts.labels and facts.labels.tumors > 1:
        message = f"{facts.labels.tumors} tumors above {TUMOR_ML} mL"
        yield Finding(severity="note", code="several_tumors", case_id=case_id, message=message)


@DATA_SET_RULES.register("duplicates")
def _duplicates(cases: Mapping[str, CaseFacts]) -> Iterator[Finding]:
    by_scan = sorted(cases, key=lambda c: (cases[c].scan_crc32, cases[c].shape_zyx, c))
    for _, same in itertools.groupby(by_scan, lambda c: (cases[c].scan_crc32, cases[c].shape_zyx)):
        first, *others = same
        message = f"the same scan as {first}: do not train on one and test on the other"
        for case_id in others:
            yield Finding(severity="warning", code="duplicate", case_id=case_id, message=message)


@DATA_SET_RULES.register("outliers")
def _outliers(cases: Mapping[str, CaseFacts]) -> Iterator[Finding]:
    """Shape, spacing and size outside Tukey's fences (1.5 interquartile ranges beyond the quartiles) of logarithms."""
    if len(cases) < _CASES_FOR_A_RANGE:
        return
    for name, unit, values in _measures(cases):
        low, _, high = np.percentile(np.log(values), (25, 50, 75))
        reach = 1.5 * (high - low)
        lowest, highest = np.exp(low - reach) * (1 - 1e-6), np.exp(high + reach) * (1 + 1e-6)
        for case_id, value in zip(cases, values, strict=True):
            if not lowest <= value <= highest:
                message = f"{name} {value:.4g}{unit}, usual here {lowest:.4g}..{highest:.4g}"
                yield Finding(severity="note", code="outlier", case_id=case_id, message=message)


def _measures(cases: Mapping[str, CaseFacts]) -> Iterator[tuple[str, str, list[float]]]:
    for axis, name in enumerate(("slices", "rows", "columns")):
        yield name, "", [float(facts.shape_zyx[axis]) for facts in cases.values()]
    for axis, name in ((0, "slice spacing"), (2, "pixel spacing")):
        yield name, " mm", [facts.spacing_zyx_mm[axis] for facts in cases.values()]
    for axis, name in ((0, "height"), (2, "width")):
        yield name, " mm", [facts.shape_zyx[axis] * facts.spacing_zyx_mm[axis] for facts in cases.values()]
