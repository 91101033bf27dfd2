"""Tables of an audit for the terminal."""

from collections.abc import Sequence

from kits_tf.base.words import count_text, listed
from kits_tf.ct.case_facts import CaseFacts
from kits_tf.ct.findings import SEVERITIES, Finding
from kits_tf.views.terminal.table import aligned

# Cases listed in one line of findings.
_CASES_SHOWN = 12


def facts_table(cases: dict[str, CaseFacts], findings: Sequence[Finding]) -> str:
    """Returns shape, spacing, axes, types, HU, volumes and codes of the findings of each case."""
    rows = [["", "voxels z,y,x", "mm z,y,x", "axes", "types", "HU", "kidney mL", "tumor mL", "parts", "specks"]]
    codes: dict[str, list[str]] = {case_id: [] for case_id in cases}
    for finding in findings:
        codes.setdefault(finding.case_id, []).append(finding.code)
    for case_id, facts in cases.items():
        shape, spacing = ",".join(map(str, facts.shape_zyx)), ",".join(f"{s:.3g}" for s in facts.spacing_zyx_mm)
        row = [case_id, shape, spacing, facts.axes, facts.dtype, "{}..{}".format(*facts.hu_range)]
        if facts.labels:
            row[4] += "/" + facts.labels.dtype
            volumes = [facts.labels.volumes_ml.get(name, 0.0) for name in ("kidney", "tumor")]
            row += [*(f"{v:.1f}" for v in volumes), str(facts.labels.parts), str(facts.labels.specks)]
        else:
            row += ["", "", "", ""]
        rows.append(row)
    head, *body = aligned(rows)
    marked = [f"{line}  {' '.join(sorted(set(codes[c])))}".rstrip() for c, line in zip(cases, body, strict=True)]
    return "\n".join([head, *marked])


def findings_table(findings: Sequence[Finding]) -> str:
    """Returns what was found, by severity and kind: errors and warnings case by case, notes as lists of cases."""
    lines = []
    for severity in SEVERITIES:
        of_severity = [f for f in findings if f.severity == severity]
        for code in sorted({f.code for f in of_severity}):
            same = [f for f in of_severity if f.code == code]
            ids = sorted({f.case_id for f in same})
            if severity == "note":
                lines.append(f"note {code}: {count_text(len(ids), 'case')}: {listed(ids, _CASES_SHOWN)}")
            else:
                lines += [f"{severity} {code}: {f.case_id}: {f.message}" for f in same]
    return "\n".join(lines) or "nothing to remark"
