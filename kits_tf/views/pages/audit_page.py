"""An audit as one HTML file that opens from disk, without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kits_tf.ct.case_facts import CaseFacts
from kits_tf.ct.findings import SEVERITIES, Finding
from kits_tf.ct.layouts import data_note
from kits_tf.views.drawings import style
from kits_tf.views.pages.page import data_url, render

_FACTS = ("voxels (z, y, x)", "mm (z, y, x)", "axes", "types", "HU", "kidney (mL)", "tumor (mL)", "parts", "specks")
_LABEL_FACTS = 4


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A case in the table of cases."""

    case_id: str
    severities: str
    picture: str | None
    findings: list[Finding]
    facts: list[str]


def audit_page(
    data_dir: str,
    facts: Mapping[str, CaseFacts | None],
    findings: Sequence[Finding],
    thumbnails: Mapping[str, bytes],
) -> str:
    """Returns the page: the data's own note, the numbers of findings, then a table of cases to sort and to filter.

    Args:
        data_dir: folder of the data, named in the heading; its data_note.txt says what the scans are.
        facts: facts of each case by its id; None for a case that cannot be read.
        findings: findings of all cases.
        thumbnails: JPEG of each case that has one, by its id.
    """
    rows = []
    for case_id, of_case in facts.items():
        own = [finding for finding in findings if finding.case_id == case_id]
        picture = data_url(thumbnails[case_id], "image/jpeg") if case_id in thumbnails else None
        row = _Row(
            case_id=case_id,
            severities=severities(own),
            picture=picture,
            findings=own,
            facts=_facts_cells(of_case),
        )
        rows.append(row)
    return render(
        "audit.html",
        title=f"Audit of {data_dir}",
        data_note=data_note(data_dir),
        labeled=sum(1 for of_case in facts.values() if of_case and of_case.labels),
        counts=count_findings(findings),
        facts=_FACTS,
        thumbnail_size=style.THUMBNAIL_SIZE,
        rows=rows,
    )


def severities(findings: Sequence[Finding]) -> str:
    """Returns the severities of findings, as classes of an element."""
    return " ".join(severity for severity in SEVERITIES if any(f.severity == severity for f in findings))


def count_findings(findings: Sequence[Finding]) -> list[tuple[str, int, str]]:
    """Returns each severity with its number of findings and, in words, the number of each code."""
    counts = []
    for severity in SEVERITIES:
        codes = [f.code for f in findings if f.severity == severity]
        counts.append((severity, len(codes), ", ".join(f"{code} {codes.count(code)}" for code in sorted(set(codes)))))
    return counts


def _facts_cells(facts: CaseFacts | None) -> list[str]:
    if facts is None:
        return [""] * len(_FACTS)
    labels, shape = facts.labels, " x ".join(map(str, facts.shape_zyx))
    spacing = " x ".join(f"{size:.3g}" for size in facts.spacing_zyx_mm)
    types = facts.dtype + (f" / {labels.dtype}" if labels else "")
    cells = [shape, spacing, facts.axes, types, "{}..{}".format(*facts.hu_range)]
    if labels is None:
        return [*cells, *[""] * _LABEL_FACTS]
    volumes = [f"{labels.volumes_ml.get(name, 0.0):.1f}" for name in ("kidney", "tumor")]
    return [*cells, *volumes, str(labels.parts), str(labels.specks)]
