"""One case as the page shows it: facts, a thumbnail, a figure for each evaluation, small volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kits_tf.analysis.case_masks import with_prediction
from kits_tf.analysis.evaluation_files import Evaluation
from kits_tf.analysis.mask_files import MaskFolder
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
from kits_tf.base.progress import track
from kits_tf.ct.case_facts import CaseFacts, case_facts
from kits_tf.ct.cases import label_scan, read_pair
from kits_tf.ct.layouts import CaseFiles
from kits_tf.views.drawings import canvas
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.drawings.thumbnail import error_thumbnail
from kits_tf.views.pages.evaluation_page.volumes import ViewerVolumes, viewer_volumes


@dataclass(frozen=True)
class CasePlan:
    """How large the pictures of a case may be.

    Attributes:
        figure_width: width of its figures in pixels; 0 for no figures.
        volume_bytes: most bytes of its volumes for the viewer, all together; 0 for no volumes.
    """

    figure_width: int
    volume_bytes: int


@dataclass(frozen=True)
class CasePictures:
    """A case as the page shows it.

    Attributes:
        facts: facts of its files, which an audit judges.
        thumbnail: JPEG of the first prediction.
        figures: WebP of each prediction; empty where the plan has no figures.
        volumes: scan, truth and predictions for the viewer; None where the plan has no volumes.
    """

    facts: CaseFacts
    thumbnail: bytes
    figures: list[bytes]
    volumes: ViewerVolumes | None


def picture_cases(
    evaluations: Sequence[Evaluation], plans: Mapping[str, CasePlan], workers: int, failures: Failures
) -> dict[str, CasePictures]:
    """Returns the pictures of each case that has a plan and can be drawn, by its id; several processes make them.

    Args:
        evaluations: evaluations that all have the cases; the first one knows their files.
        plans: sizes of the pictures of each case, by its id.
        workers: number of processes; 0: by cores and memory.
        failures: failures, which the cases are added to that cannot be drawn.
    """
    cases = [files for files in evaluations[0].cases if files.case_id in plans]
    predictions = [evaluation.masks for evaluation in evaluations]
    tasks = [(files, predictions, plans[files.case_id]) for files in cases]
    pictures = {}
    outcomes = run_tasks(picture_case, tasks, workers, start_tensorflow_in_worker)
    for index, outcome in track(outcomes, "case", len(tasks)):
        if isinstance(outcome, InputError):
            failures.note(cases[index].case_id, outcome)
        else:
            pictures[cases[index].case_id] = outcome
    return {files.case_id: pictures[files.case_id] for files in cases if files.case_id in pictures}


def picture_case(files: CaseFiles, predictions: Sequence[MaskFolder], plan: CasePlan) -> CasePictures:
    """Returns the pictures of a case.

    Args:
        files: files of the case.
        predictions: masks of each evaluation.
        plan: sizes of the pictures.

    Raises:
        InputError: a file cannot be used, or the case has no true mask.
    """
    image, mask = read_pair(files)
    if mask is None:
        raise InputError(f"{files.image}: expected a true mask to compare with, {files.case_id} has none")
    scans = [label_scan(image, mask, masks.scheme) for masks in predictions]
    pairs = zip(scans, predictions, strict=True)
    cases = [with_prediction(files.case_id, scan, masks) for scan, masks in pairs]
    with canvas.drawing():
        figures = [canvas.webp(case_figure(case), plan.figure_width) for case in cases if plan.figure_width]
        volumes = viewer_volumes(cases, image.grid, plan.volume_bytes) if plan.volume_bytes else None
        return CasePictures(case_facts(image, mask), error_thumbnail(cases[0]), figures, volumes)
