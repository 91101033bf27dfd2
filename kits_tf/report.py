"""python -m kits_tf.report: an evaluation as one page that opens from disk."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import require_own, write_text
from kits_tf.base.packages import require
from kits_tf.base.settings import Settings, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import MaskSchemeSettings, shared

if TYPE_CHECKING:
    from kits_tf.analysis.evaluation_files import Evaluation

NAME, COMPARED_NAME = "report.html", "comparison.html"


@dataclass(frozen=True, kw_only=True)
class Report(Settings):
    """Writes an evaluation as one page, report.html, that opens from disk: scores, figures, charts, a 3-D viewer.

    Run evaluate first, to score the cases.
    """

    run_dir: str | None = setting(None, "Folder of a training run; or use --predictions_dir.")
    split: str = setting("validation", "Split of the run to show.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks by any program, with --data_dir.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    compare: str | None = setting(
        None,
        "A second run, or with --predictions_dir a second folder of masks, to show beside the first.",
        is_path=True,
    )
    scores_dir: str | None = setting(
        None, "Folder of the scores of --predictions_dir, if evaluate was given --output_dir."
    )
    output: str | None = setting(
        None, "File to write. Default: report.html beside the scores, or comparison.html with --compare.", is_path=True
    )
    data_note: str = setting("", "Note for the top of the page, for example that scans are phantoms or simulated.")
    viewer: bool = setting(True, "Puts the NiiVue viewer and the resampled scans into the page; --noviewer omits both.")
    workers: int = shared.workers()
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run_dir is None) == (self.predictions_dir is None):
            raise InputError("expected either --run_dir or --predictions_dir")
        if self.predictions_dir and not self.data_dir:
            raise InputError("expected --data_dir with --predictions_dir")
        if self.compare and self.compare == (self.run_dir or self.predictions_dir):
            raise InputError(f"--compare: expected another folder than {self.compare}")


def main(settings: Report) -> None:
    """Draws every case and writes the page, which names the cases that cannot be drawn.

    Raises:
        InputError: a package is missing, evaluation, masks or data cannot be used, the page cannot be written, or a
            case cannot be drawn.
    """
    require_packages(with_viewer=settings.viewer)
    if settings.output:
        require_own([settings.output])
    evaluations = read_evaluations(settings)
    path = Path(settings.output or evaluations[0].scores_dir / (COMPARED_NAME if settings.compare else NAME))
    require_own([path])
    start_tensorflow()
    from kits_tf.analysis.evaluation_files import cases_of_all
    from kits_tf.analysis.mask_files import label_note
    from kits_tf.analysis.scores import COMPOSITE
    from kits_tf.ct.findings import audit
    from kits_tf.views.pages.evaluation_page.case import picture_cases
    from kits_tf.views.pages.evaluation_page.page import Notes, report_page
    from kits_tf.views.pages.evaluation_page.plan import plan
    from kits_tf.views.pages.niivue import niivue_module

    module = niivue_module() if settings.viewer else None
    for line in filter(None, dict.fromkeys(label_note(each.scored) for each in evaluations)):
        print(line)
    composites = {case_id: evaluations[0].scores[case_id][COMPOSITE] for case_id in cases_of_all(evaluations)}
    plans = plan(composites, len(evaluations), settings.viewer)
    failures = Failures("case", len(plans))
    pictures = picture_cases(evaluations, plans, settings.workers, failures)
    if not pictures:
        failures.check()
    findings = audit({case_id: of_case.facts for case_id, of_case in pictures.items()})
    page = report_page(evaluations, pictures, findings, Notes(settings.data_note, failures.messages), module)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    failures.check()


def read_evaluations(settings: Report) -> "list[Evaluation]":
    """Returns the evaluation of the run or of the masks, and the one to compare it with, if any.

    Raises:
        InputError: one of them cannot be used.
    """
    from kits_tf.analysis.evaluation_files import read_masks_evaluation, read_run_evaluation
    from kits_tf.analysis.mask_files import check_flags

    folders = [Path(folder) for folder in (settings.run_dir or settings.predictions_dir, settings.compare) if folder]
    if settings.run_dir:
        return [read_run_evaluation(folder, settings.split, settings.data_dir, settings.masks) for folder in folders]
    scores_dirs = [Path(settings.scores_dir) if settings.scores_dir else None, None]
    evaluations = [
        read_masks_evaluation(folder, settings.data_dir or "", settings.masks, scores_dir)
        for folder, scores_dir in zip(folders, scores_dirs, strict=False)
    ]
    check_flags([mask for each in evaluations for mask in each.masks.masks.values()], settings.masks)
    return evaluations


def require_packages(*, with_viewer: bool = True) -> None:
    """Raises InputError if a package is missing that a report needs."""
    require("report", "matplotlib", *["ipyniivue"] * with_viewer)


COMMAND = Command(name="report", settings=Report, main=main)

if __name__ == "__main__":
    COMMAND.run()
