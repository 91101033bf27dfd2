"""A report, put together for its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from isal import igzip

from kits_tf import __version__
from kits_tf.analysis import results
from kits_tf.analysis.evaluated import Evaluated
from kits_tf.analysis.scores import KITS23_REGIONS
from kits_tf.analysis.statistics import Difference
from kits_tf.ct.findings import SEVERITIES, Finding
from kits_tf.training.history import read_history
from kits_tf.training.run import ENVIRONMENT, FLAGS
from kits_tf.views import canvas
from kits_tf.views.audit_page import count_findings, severities
from kits_tf.views.evaluation_page import tables
from kits_tf.views.evaluation_page.case import CasePictures
from kits_tf.views.evaluation_page.charts import bland_altman, score_boxes
from kits_tf.views.evaluation_page.plan import examples
from kits_tf.views.evaluation_page.viewer import layers, viewer_data
from kits_tf.views.learning_curves import learning_curves
from kits_tf.views.page import base64_text, data_url, render
from kits_tf.views.thumbnail import SIZE

# Charts of boxes: heading, score of each structure, what is told below.
_SURFACE = {"kidney": "kidney_and_mass", "tumor": "tumor"}
_WITHIN = ", ".join(f"{name} {KITS23_REGIONS[region][1]:.1f} mm" for name, region in _SURFACE.items())
_BOXES = (
    ("Dice", {name: f"{name}_dice" for name in _SURFACE}, "Dice of kidney with tumor, and of tumor"),
    (
        "surface Dice",
        {name: f"kits23_{region}_surface_dice" for name, region in _SURFACE.items()},
        f"Share of both surfaces that is as near to the other one as KiTS23 has it: {_WITHIN}",
    ),
)


@dataclass(frozen=True)
class _Row:
    """A case in the table of cases."""

    case_id: str
    severities: str
    picture: str
    cells: list[tables.Cell]
    findings: list[Finding]


@dataclass(frozen=True)
class _VolumeChart:
    """A chart of volumes: bias and limits of agreement of each evaluation are told below it."""

    name: str
    svg: str
    limits: list[tuple[float, float, float]]


@dataclass(frozen=True)
class _Training:
    """How a run came about."""

    name: str
    curves: str
    flags: str
    environment: str


def report_page(
    evaluations: Sequence[Evaluated],
    pictures: Mapping[str, CasePictures],
    findings: Sequence[Finding],
    data_note: str,
    viewer_module: str | None,
) -> str:
    """Returns the page.

    Args:
        evaluations: one, or two to show side by side.
        pictures: of each case that all of them have, one at least.
        findings: of an audit of these cases.
        data_note: what the scans are; "" where nothing is to be said.
        viewer_module: JavaScript of `niivue_module`; None for a page without the viewer.
    """
    changes = _differences(evaluations, list(pictures))
    scores = {each.name: {case_id: each.scores[case_id] for case_id in pictures} for each in evaluations}
    shown, training = layers(evaluations), [_training(each) for each in evaluations if each.run_dir]
    viewed = {case_id: of_case.volumes for case_id, of_case in pictures.items() if of_case.volumes and viewer_module}
    sections = {"summary": "Scores", "examples": "Examples", "charts": "Charts", "cases": "Cases"}
    sections |= {"viewer": "Viewer"} if viewed else {}
    sections |= {"training": "Training"} if training else {}
    return render(
        "report.html",
        title=f"Evaluation of {' and '.join(each.name for each in evaluations)}",
        told=_told(evaluations, len(pictures)),
        data_note=data_note,
        sections=sections | {"data": "Data"},
        evaluations=evaluations,
        differences=changes,
        summary=tables.mean_rows(evaluations, changes),
        published=tables.published_rows(evaluations),
        lesions=tables.lesion_rows(evaluations),
        examples=examples({case_id: evaluations[0].scores[case_id]["composite"] for case_id in pictures}),
        boxes=[(canvas.svg(score_boxes(name, names, scores)), told) for name, names, told in _BOXES],
        volume_charts=[_volume_chart(structure, evaluations, pictures) for structure in ("kidney", "tumor")],
        columns=tables.columns(evaluations),
        all_severities=SEVERITIES,
        rows=[_row(case_id, evaluations, of_case, findings) for case_id, of_case in pictures.items()],
        thumbnail_size=SIZE,
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
        made=f"Made by kits_tf {__version__}, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    )


def _figures(evaluations: Sequence[Evaluated], pictures: Mapping[str, CasePictures]) -> dict:
    """Returns what report.js reads: names of the evaluations, and for each case the figure of each of them."""
    figures = {case_id: [*map(base64_text, of_case.figures)] for case_id, of_case in pictures.items()}
    return {"names": [each.name for each in evaluations], "cases": figures}


def _told(evaluations: Sequence[Evaluated], num_shown: int) -> str:
    def of_one(each: Evaluated) -> str:
        flags = each.summary.get("inference")
        how = f", inference by {flags}" if flags else ""
        return f"{each.summary['num_cases']} cases{how}, scores in {each.scores_dir}"

    told = "; ".join(map(of_one, evaluations))
    return told if len(evaluations) == 1 else f"{told}; {num_shown} cases that both have are shown"


def _differences(evaluations: Sequence[Evaluated], case_ids: Sequence[str]) -> dict[str, Difference]:
    if len(evaluations) == 1:
        return {}
    first, second = evaluations
    return {each.name: each for each in results.differences(first.scores, second.scores, case_ids)}


def _volume_chart(
    structure: str, evaluations: Sequence[Evaluated], pictures: Mapping[str, CasePictures]
) -> _VolumeChart:
    true_ml = {case_id: tables.true_ml(of_case.facts, structure) for case_id, of_case in pictures.items()}
    score = f"{structure}_volume_error_ml"
    errors_ml = [{case_id: each.scores[case_id][score] for case_id in pictures} for each in evaluations]
    figure, limits = bland_altman(structure, true_ml, errors_ml)
    return _VolumeChart(structure, canvas.svg(figure), limits)


def _row(case_id: str, evaluations: Sequence[Evaluated], pictures: CasePictures, findings: Sequence[Finding]) -> _Row:
    found, picture = [f for f in findings if f.case_id == case_id], data_url(pictures.thumbnail, "image/jpeg")
    return _Row(case_id, severities(found), picture, tables.cells(case_id, evaluations, pictures.facts), found)


def _training(evaluated: Evaluated) -> _Training:
    run_dir = evaluated.run_dir
    assert run_dir is not None
    history = read_history(run_dir)
    curves = canvas.svg(learning_curves("", history)) if history else ""
    flags, environment = (run_dir / FLAGS).read_text(), run_dir / ENVIRONMENT
    return _Training(evaluated.name, curves, flags, environment.read_text() if environment.exists() else "")
