"""The page of an evaluation, put together for its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isal import igzip

from kits_tf.analysis.evaluation_files import Evaluation
from kits_tf.analysis.mask_files import labels_read, mask_warnings
from kits_tf.analysis.mask_pair import KITS23_REGIONS, STRUCTURES
from kits_tf.analysis.scores import COMPOSITE, ScoreTable, Topic, scores_of_structures
from kits_tf.analysis.statistics import Difference, differences
from kits_tf.base.files import MADE_BY, read_text
from kits_tf.base.words import count_text
from kits_tf.ct.findings import SEVERITIES, Finding
from kits_tf.training.history import read_history
from kits_tf.training.run import ENVIRONMENT, FLAGS
from kits_tf.views.coverage import alone_lines, coverage_lines
from kits_tf.views.drawings import canvas, style
from kits_tf.views.drawings.learning_curves import learning_curves
from kits_tf.views.pages.audit_page import count_findings, severities
from kits_tf.views.pages.evaluation_page import tables
from kits_tf.views.pages.evaluation_page.case import CasePictures
from kits_tf.views.pages.evaluation_page.charts import Agreement, bland_altman, score_boxes
from kits_tf.views.pages.evaluation_page.plan import examples
from kits_tf.views.pages.evaluation_page.viewer import layers, viewer_data
from kits_tf.views.pages.page import base64_text, data_url, render

_TOLERANCES_MM = {name: KITS23_REGIONS[region].tolerance_mm for name, region in STRUCTURES.items()}
_WITHIN = ", ".join(f"{name} {tolerance_mm:.1f} mm" for name, tolerance_mm in _TOLERANCES_MM.items())
# Charts of boxes: topic, heading, and the text below.
_BOXES = (
    (Topic.CHALLENGE, "Dice", "Dice of kidney with tumor, and of tumor"),
    (
        Topic.SURFACE_DICE,
        "surface Dice",
        f"Share of both surfaces that is as near to the other one as KiTS23 has it: {_WITHIN}",
    ),
)


@dataclass(frozen=True)
class Notes:
    """What a reader must know before anything else.

    Attributes:
        data: note on what the scans are; "" for none.
        undrawn: a line for each case that could not be drawn, with the reason.
    """

    data: str
    undrawn: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A case in the table of cases."""

    case_id: str
    severities: str
    picture: str
    cells: list[tables.Cell]
    findings: list[Finding]


@dataclass(frozen=True)
class _VolumeChart:
    """A chart of volumes, with the agreement of each evaluation for the text below it."""

    name: str
    svg: str
    agreements: list[Agreement]


@dataclass(frozen=True)
class _Training:
    """How a run was trained."""

    name: str
    curves: str
    flags: str
    environment: str


def report_page(
    evaluations: Sequence[Evaluation],
    pictures: Mapping[str, CasePictures],
    findings: Sequence[Finding],
    notes: Notes,
    viewer_module: str | None,
) -> str:
    """Returns the page.

    Args:
        evaluations: one evaluation, or two to show side by side.
        pictures: pictures of each case that all evaluations have, one at least.
        findings: findings of an audit of these cases.
        notes: what stands at the head of the page.
        viewer_module: JavaScript of `niivue_module`; None for a page without the viewer.
    """
    changes = _differences(evaluations, list(pictures))
    scores = {each.name: {case_id: each.scores[case_id] for case_id in pictures} for each in evaluations}
    shown, training = layers(evaluations), [_training(each.name, each.run_dir) for each in evaluations if each.run_dir]
    viewed = {case_id: of_case.volumes for case_id, of_case in pictures.items() if of_case.volumes and viewer_module}
    sections = {"summary": "Scores", "examples": "Examples", "charts": "Charts", "cases": "Cases"}
    sections |= {"viewer": "Viewer"} if viewed else {}
    sections |= {"training": "Training"} if training else {}
    return render(
        "report.html",
        title=f"Evaluation of {' and '.join(each.name for each in evaluations)}",
        overview=_overview(evaluations, len(pictures)),
        coverage=[
            *(line for each in evaluations for line in _coverage(each)),
            *alone_lines(evaluations[0].scores, evaluations[-1].scores),
        ],
        warnings=list(dict.fromkeys(text for each in evaluations for text in _warnings(each))),
        data_note=notes.data,
        undrawn=notes.undrawn,
        sections=sections | {"data": "Data"},
        evaluations=evaluations,
        differences=changes,
        summary=tables.mean_rows(evaluations, changes),
        published=tables.published_rows(evaluations),
        lesions=tables.lesion_rows(evaluations),
        examples=examples({case_id: evaluations[0].scores[case_id][COMPOSITE] for case_id in pictures}),
        boxes=_box_charts(scores),
        volume_charts=_volume_charts(evaluations, pictures),
        columns=tables.columns(evaluations),
        all_severities=SEVERITIES,
        rows=[_row(case_id, evaluations, of_case, findings) for case_id, of_case in pictures.items()],
        thumbnail_size=style.THUMBNAIL_SIZE,
        figures=_figures(evaluations, pictures),
        figure_sizes={
            case_id: canvas.webp_size(of_case.figures[0]) for case_id, of_case in pictures.items() if of_case.figures
        },
        viewed=viewer_data(shown, viewed),
        viewer_module=base64_text(igzip.compress(viewer_module.encode(), mtime=0)) if viewer_module else "",
        layers=shown,
        classes=evaluations[0].scheme.classes[1:],
        training=training,
        counts=count_findings(findings),
        made=f"{MADE_BY}, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def _figures(evaluations: Sequence[Evaluation], pictures: Mapping[str, CasePictures]) -> dict:
    """Returns what report.js reads: names of the evaluations, and for each case the figure of each of them."""
    figures = {case_id: [*map(base64_text, of_case.figures)] for case_id, of_case in pictures.items()}
    return {"names": [each.name for each in evaluations], "cases": figures}


def _overview(evaluations: Sequence[Evaluation], num_shown: int) -> str:
    """Returns what was evaluated and how, a clause for each evaluation."""
    clauses = []
    for evaluation in evaluations:
        summary = evaluation.summary
        how = f", inference by {summary.inference}" if summary.inference else ""
        clauses.append(f"{count_text(summary.num_cases, 'case')}{how}, scores in {evaluation.scores_dir}")
    if len(evaluations) > 1:
        clauses.append(f"{num_shown} cases that both have are shown")
    return "; ".join(clauses)


def _coverage(evaluation: Evaluation) -> list[str]:
    """Returns what the labels of the masks were read as, by evaluate and for the page, and which cases are special."""
    coverage = evaluation.summary.coverage
    return [*filter(None, dict.fromkeys([coverage.labels, labels_read(evaluation.scored)])), *coverage_lines(coverage)]


def _warnings(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns what the masks warn of, and what evaluate has noticed."""
    return (*mask_warnings(evaluation.scored), *evaluation.summary.coverage.warnings)


def _differences(evaluations: Sequence[Evaluation], case_ids: Sequence[str]) -> dict[str, Difference]:
    """Returns how the second evaluation differs from the first, by the key of the score; empty for one evaluation."""
    if len(evaluations) == 1:
        return {}
    first, second = evaluations
    return {change.key: change for change in differences(first.scores, second.scores, case_ids)}


def _box_charts(scores: Mapping[str, ScoreTable]) -> list[tuple[str, str]]:
    """Returns each chart of boxes as SVG, and the text below it."""
    return [
        (canvas.svg(score_boxes(heading, scores_of_structures(topic), scores)), caption)
        for topic, heading, caption in _BOXES
    ]


def _volume_charts(evaluations: Sequence[Evaluation], pictures: Mapping[str, CasePictures]) -> list[_VolumeChart]:
    charts = []
    for structure, key in scores_of_structures(Topic.VOLUME).items():
        true_ml = {case_id: tables.true_ml(of_case.facts, structure) for case_id, of_case in pictures.items()}
        errors_ml = [{case_id: evaluation.scores[case_id][key] for case_id in pictures} for evaluation in evaluations]
        figure, agreements = bland_altman(structure, true_ml, errors_ml)
        charts.append(_VolumeChart(structure, canvas.svg(figure), agreements))
    return charts


def _row(case_id: str, evaluations: Sequence[Evaluation], pictures: CasePictures, findings: Sequence[Finding]) -> _Row:
    own_findings = [finding for finding in findings if finding.case_id == case_id]
    return _Row(
        case_id=case_id,
        severities=severities(own_findings),
        picture=data_url(pictures.thumbnail, "image/jpeg"),
        cells=tables.cells(case_id, evaluations, pictures.facts),
        findings=own_findings,
    )


def _training(name: str, run_dir: Path) -> _Training:
    history, environment = read_history(run_dir), run_dir / ENVIRONMENT
    return _Training(
        name=name,
        curves=canvas.svg(learning_curves("", history)) if history else "",
        flags=read_text(run_dir / FLAGS),
        environment=read_text(environment) if environment.exists() else "",
    )
