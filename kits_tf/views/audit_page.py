"""An audit as one HTML file that opens from disk, without a network."""

import base64
import html
from collections.abc import Mapping, Sequence

from kits_tf.ct.audit import SEVERITIES, Finding
from kits_tf.ct.facts import CaseFacts
from kits_tf.views import style

_FACTS = ("voxels (z, y, x)", "mm (z, y, x)", "axes", "types", "HU", "kidney, mL", "tumor, mL", "parts", "specks")
_LABEL_FACTS = 4


def audit_page(
    data_dir: str,
    facts: Mapping[str, CaseFacts | None],
    findings: Sequence[Finding],
    thumbnails: Mapping[str, bytes],
) -> str:
    """Returns the page: what was found in all, then a table of cases to sort and to filter.

    Args:
        data_dir: for the heading.
        facts: by case id; None for a case that cannot be read.
        findings: of all cases.
        thumbnails: JPEG by case id, where there is one.
    """
    rows = [
        _row(case_id, of_case, [f for f in findings if f.case_id == case_id], thumbnails.get(case_id))
        for case_id, of_case in facts.items()
    ]
    headings = "".join(f"<th>{name}</th>" for name in ("scan", "case", "findings", *_FACTS))
    legend = ", ".join(f'<b style="color:{style.COLORS[n]}">{n}</b>' for n in ("kidney", "tumor", "cyst"))
    return _PAGE.format(
        title=html.escape(f"Audit of {data_dir}"),
        counts=_counts(facts, findings),
        legend=legend,
        boxes="".join(f'<label><input type="checkbox" value="{s}"> {s}</label>' for s in SEVERITIES),
        headings=headings,
        rows="\n".join(rows),
    )


def _counts(facts: Mapping[str, CaseFacts | None], findings: Sequence[Finding]) -> str:
    labeled = sum(1 for of_case in facts.values() if of_case and of_case.labels)
    parts = [f"<p><b>{len(facts)}</b> cases, <b>{labeled}</b> with a mask.</p><ul>"]
    for severity in SEVERITIES:
        codes = [f.code for f in findings if f.severity == severity]
        kinds = ", ".join(f"{code} {codes.count(code)}" for code in sorted(set(codes)))
        parts.append(f'<li class="{severity}"><b>{len(codes)}</b> {severity}s{": " if kinds else ""}{kinds}</li>')
    return "".join(parts) + "</ul>"


def _row(case_id: str, facts: CaseFacts | None, findings: Sequence[Finding], picture: bytes | None) -> str:
    severities = " ".join({f.severity for f in findings})
    image = ""
    if picture:
        source = base64.b64encode(picture).decode()
        image = f'<img src="data:image/jpeg;base64,{source}" alt="axial and coronal plane of {case_id}">'
    told = "".join(f'<p class="{f.severity}"><b>{f.code}</b> {html.escape(f.message)}</p>' for f in findings)
    cells = [image, f"<b>{html.escape(case_id)}</b>", told, *map(html.escape, _facts_cells(facts))]
    return f'<tr class="{severities}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


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


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 13px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; }}
h1 {{ font-size: 1.3em; overflow-wrap: anywhere; }}
ul {{ list-style: none; padding: 0; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3em .5em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }}
th {{ position: sticky; top: 0; background: #fff; cursor: pointer; white-space: nowrap; }}
td:nth-child(n+4) {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
td img {{ display: block; }}
td p {{ margin: 0 0 .2em; width: 17em; overflow-wrap: anywhere; }}
label {{ margin-right: 1em; }}
li.error, p.error b {{ color: #b00020; }}
li.warning, p.warning b {{ color: #9a5b00; }}
tr.error {{ background: #fdecee; }}
@media print {{
  form {{ display: none; }}
  tr {{ break-inside: avoid; }}
  th {{ position: static; }}
  body {{ font-size: 10px; }}
}}
</style>
<h1>{title}</h1>
{counts}
<p>Pictures: axial and coronal plane with most tumor or kidney, the patient's right on the left; {legend}.</p>
<form>
<label>Search <input type="search" id="text"></label> Only cases with: {boxes}
<span id="shown"></span>
</form>
<table>
<thead><tr>{headings}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<script>
const rows = [...document.querySelectorAll("tbody tr")], text = document.getElementById("text");
const boxes = [...document.querySelectorAll("form input[type=checkbox]")];
function filter() {{
  const wanted = boxes.filter(b => b.checked).map(b => b.value), words = text.value.toLowerCase();
  for (const row of rows) row.hidden = !(row.textContent.toLowerCase().includes(words) &&
    (!wanted.length || wanted.some(w => row.classList.contains(w))));
  document.getElementById("shown").textContent = rows.filter(r => !r.hidden).length + " of " + rows.length + " cases";
}}
document.querySelector("form").addEventListener("input", filter);
document.querySelector("form").addEventListener("submit", event => event.preventDefault());
document.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {{
  const sign = head.dataset.sign = -(head.dataset.sign || -1), value = row => row.cells[column].textContent;
  const compare = (a, b) => value(a).localeCompare(value(b), "en", {{ numeric: true }});
  rows.sort((a, b) => sign * compare(a, b)).forEach(row => row.parentNode.append(row));
}}));
filter();
</script>
</html>
"""
