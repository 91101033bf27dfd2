from dataclasses import replace
from pathlib import Path

import pytest

from kits_tf.base.registry import import_plugins
from kits_tf.ct.case_facts import CaseFacts, LabelFacts
from kits_tf.ct.findings import CASE_RULES, DATA_SET_RULES, Finding, audit, case_findings

LABELS = LabelFacts(
    dtype="uint8",
    volumes_ml={"kidney": 300.0, "tumor": 20.0},
    parts=2,
    specks=0,
    tumors=1,
    scan_ends=(),
    hu_mean=120.0,
)
FINE = CaseFacts(
    shape_zyx=(100, 512, 512),
    spacing_zyx_mm=(3.0, 0.8, 0.8),
    axes="IPL",
    dtype="int16",
    hu_range=(-1024, 1500),
    scan_crc32=7,
    labels=LABELS,
)


def found(facts: CaseFacts, case_id: str = "case_00100") -> list[tuple[str, str]]:
    return [(f.severity, f.code) for f in case_findings(case_id, facts)]


def with_labels(**changes: object) -> CaseFacts:
    return replace(FINE, labels=replace(LABELS, **changes))


def test_nothing_is_found_in_an_ordinary_case() -> None:
    assert found(FINE) == [] and found(replace(FINE, labels=None)) == []
    assert audit({}) == []


def test_a_finding_is_an_error_a_warning_or_a_note() -> None:
    with pytest.raises(ValueError, match="severity: expected one of error, warning, note, got info"):
        Finding(severity="info", code="c", case_id="x", message="m")


@pytest.mark.parametrize(
    ("facts", "severity", "code", "message"),
    [
        (replace(FINE, hu_range=(-1000, -1000)), "error", "not_hounsfield", "values -1000..-1000: air alone, no body"),
        (replace(FINE, hounsfield_problem="the evidence"), "error", "not_hounsfield", "the evidence"),
        (
            replace(with_labels(hu_mean=1144.0), hounsfield_problem="the evidence"),
            "error",
            "not_hounsfield",
            "the evidence",
        ),
        (
            with_labels(hu_mean=1144.0),  # of the kidneys alone, which the scan's own rule cannot know
            "error",
            "not_hounsfield",
            "got a mean of 1144 in the kidneys: was an offset of 1024 lost?",
        ),
        (with_labels(hu_mean=-600.0), "warning", "kidney_hu", "mean of -600 HU under the mask, expected -50..400"),
        (replace(FINE, hu_range=(-1024, 32767)), "warning", "saturated", "values reach -1024..32767"),
        (with_labels(volumes_ml={"tumor": 3.0}), "warning", "no_kidney", "no voxel of kidney"),
        (with_labels(volumes_ml={}, parts=0, hu_mean=None), "warning", "no_kidney", "no voxel of kidney"),
        (with_labels(scan_ends=("superior", "left")), "warning", "cut_off", "reach the superior and left end"),
        (with_labels(parts=1), "note", "one_part", "one connected part"),
        (with_labels(specks=1), "note", "specks", "1 small part apart"),
        (with_labels(specks=3), "note", "specks", "3 small parts apart"),
        (with_labels(tumors=2), "note", "several_tumors", "2 tumors above 0.5 mL"),
    ],
)
def test_each_rule(facts: CaseFacts, severity: str, code: str, message: str) -> None:
    (finding,) = case_findings("case_00100", facts)
    assert (finding.severity, finding.code, finding.case_id) == (severity, code, "case_00100")
    assert message.replace("\\?", "?") in finding.message


def test_doubtful_labels_are_those_of_kits19() -> None:
    doubtful = [n for n in range(210) if found(FINE, f"case_{n:05d}")]
    assert doubtful == [15, 23, 37, 68, 125, 133]
    assert found(with_labels(volumes_ml={"kidney": 1.0, "cyst": 1.0}), "case_00015") == []
    assert found(replace(FINE, labels=None), "case_00015") == [] and found(FINE, "patient_15") == []


def test_duplicates_name_the_first_of_them() -> None:
    others = {f"case_{i:05d}": replace(FINE, scan_crc32=i) for i in range(3)}
    cases = others | {"case_00300": replace(FINE, scan_crc32=1), "case_00301": replace(FINE, scan_crc32=1)}
    message = "the same scan as case_00001: do not train on one and test on the other"
    assert audit(cases) == [
        Finding(severity="warning", code="duplicate", case_id=case_id, message=message)
        for case_id in ("case_00300", "case_00301")
    ]
    cases["case_00300"] = replace(FINE, scan_crc32=1, shape_zyx=(99, 512, 512))
    assert [f.case_id for f in audit(cases)] == ["case_00301"]


def test_outliers_lie_beyond_the_fences_of_eight_or_more() -> None:
    cases = {
        f"case_{i:05d}": replace(FINE, scan_crc32=i, shape_zyx=(n, 512, 512))
        for i, n in enumerate([80, 90, 90, 100, 100, 110, 110, 120, 1000])
    }
    tall = {f.message.split(",")[0] for f in audit(cases) if f.case_id == "case_00008"}
    assert tall == {"slices 1000", "height 3000 mm"} and {f.case_id for f in audit(cases)} == {"case_00008"}
    cases["case_00003"] = replace(cases["case_00003"], shape_zyx=(100, 512, 796), spacing_zyx_mm=(3.0, 0.8, 0.45))
    wide = {f.message for f in audit(cases) if f.case_id == "case_00003"}
    assert wide == {
        "columns 796, usual here 512..512",
        "pixel spacing 0.45 mm, usual here 0.8..0.8",
        "width 358.2 mm, usual here 409.6..409.6",
    }
    few = dict(list(cases.items())[-7:])
    assert audit(few) == []


def test_findings_come_by_severity_code_and_case() -> None:
    cases = {
        "case_00002": replace(with_labels(specks=1, scan_ends=("left",)), scan_crc32=1),
        "case_00001": replace(with_labels(specks=1), scan_crc32=2),
        "case_00003": replace(FINE, scan_crc32=3, hounsfield_problem="values 0..50"),
    }
    order = [
        ("not_hounsfield", "case_00003"),
        ("cut_off", "case_00002"),
        ("specks", "case_00001"),
        ("specks", "case_00002"),
    ]
    assert [(f.code, f.case_id) for f in audit(cases)] == order


PLUGIN = """
from kits_tf.ct.findings import CASE_RULES, DATA_SET_RULES, Finding

@CASE_RULES.register("thick")
def thick(case_id, facts):
    if facts.spacing_zyx_mm[0] > 2:
        yield Finding(severity="note", code="thick", case_id=case_id, message="slices above 2 mm")

@DATA_SET_RULES.register("few")
def few(cases):
    if len(cases) < 2:
        yield Finding(severity="warning", code="few", case_id=min(cases), message="a single case")
"""


def test_rules_from_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two_rules.py").write_text(PLUGIN)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(tmp_path)
        patched.setenv("KITS_TF_PLUGINS", "")
        for table in (CASE_RULES, DATA_SET_RULES):
            patched.setattr(table, "_things", dict(table._things))
        import_plugins(("two_rules",))
        assert [(f.severity, f.code, f.message) for f in audit({"case_00100": FINE})] == [
            ("warning", "few", "a single case"),
            ("note", "thick", "slices above 2 mm"),
        ]
    assert audit({"case_00100": FINE}) == []
