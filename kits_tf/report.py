"""python -m kits_tf.report: an evaluation as one page that opens from disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import write_text
from kits_tf.base.packages import require
from kits_tf.base.progress import track
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ReportSettings

if TYPE_CHECKING:
    from kits_tf.analysis.evaluated import Evaluated
    from kits_tf.views.pages.evaluation_page.case import CasePictures, CasePlan

NAME = "report.html"


@dataclass(frozen=True, kw_only=True)
class Report(ReportSettings):
    """Writes an evaluation as one page, report.html, that opens from disk: scores, figures, charts, a 3-D viewer.

    The cases must have been scored before, by evaluate.
    """


def main(settings: Report) -> None:
    """Draws every case and writes the page.

    Raises:
        InputError: a package is missing, or evaluation, masks or data cannot be used.
    """
    require_packages(with_viewer=settings.viewer)
    start_tensorflow()
    from kits_tf.analysis.evaluated import find_evaluations, shared_cases
    from kits_tf.ct.findings import audit
    from kits_tf.views.pages.evaluation_page.page import report_page
    from kits_tf.views.pages.evaluation_page.plan import plan
    from kits_tf.views.pages.niivue import niivue_module

    module = niivue_module() if settings.viewer else None
    evaluations = find_evaluations(settings)
    composites = {case_id: evaluations[0].scores[case_id]["composite"] for case_id in shared_cases(evaluations)}
    plans = plan(composites, len(evaluations), settings.viewer)
    pictures = draw(evaluations, plans, settings.workers)
    findings = audit({case_id: of_case.facts for case_id, of_case in pictures.items()})
    page = report_page(evaluations, pictures, findings, settings.data_note, module)
    path = Path(settings.output or evaluations[0].scores_dir / NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def require_packages(*, with_viewer: bool = True) -> None:
    """Raises InputError if a package is missing that a report needs."""
    require("report", "matplotlib", *["ipyniivue"] * with_viewer)


def draw(evaluations: "Sequence[Evaluated]", plans: "dict[str, CasePlan]", workers: int) -> "dict[str, CasePictures]":
    """Returns the pictures of each case, made in several processes.

    Args:
        evaluations: evaluations that all have the cases; the first one knows their files.
        plans: sizes of the pictures of each case, by its id.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: a file of a case cannot be used.
    """
    from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
    from kits_tf.views.pages.evaluation_page.case import picture_case

    cases = [files for files in evaluations[0].cases if files.case_id in plans]
    predictions = [(each.masks_dir, each.scheme) for each in evaluations]
    tasks = [(files, predictions, plans[files.case_id]) for files in cases]
    pictures = {}
    results = run_tasks(picture_case, tasks, workers, start_tensorflow_in_worker)
    for index, result in track(results, "case", len(tasks)):
        if isinstance(result, InputError):
            raise InputError(f"{cases[index].case_id}: {result}") from None
        pictures[cases[index].case_id] = result
    return {files.case_id: pictures[files.case_id] for files in cases}


COMMAND = Command(name="report", settings=Report, main=main)

if __name__ == "__main__":
    COMMAND.run()
