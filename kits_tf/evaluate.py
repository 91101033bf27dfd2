"""python -m kits_tf.evaluate: scores on the original grid, of a run or of masks from any program."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import require_writable
from kits_tf.base.settings import Settings, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import InferenceSettings, MaskSchemeSettings, shared

if TYPE_CHECKING:
    from kits_tf.analysis.evaluation import EvaluationPlan, EvaluationResult


@dataclass(frozen=True, kw_only=True)
class Evaluate(Settings):
    """Scores a run on the original grid, or masks from any program; or compares two evaluations."""

    run_dir: str | None = setting(
        None, "Folder of a training run, or of its folds, to score; or use --predictions_dir."
    )
    split: str = setting("validation", "Split of the run to score.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ... to score, by any program.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    truth_dir: str | None = setting(
        None,
        "Folder of true masks, named like those in --predictions_dir, instead of --data_dir. If they do not name their "
        "labels, these are the challenge's.",
    )
    compare: str = setting(
        "",
        "Two evaluations, separated by a comma: folders with a cases.csv. Shows how the second one differs.",
        is_path=True,
    )
    output_dir: str | None = setting(
        None,
        "Folder to write the scores to; those of an earlier evaluation in it are replaced. Default: the folder "
        "evaluation in --predictions_dir or --run_dir.",
    )
    workers: int = shared.workers()
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(map(bool, (self.run_dir, self.predictions_dir, self.compare))) != 1:
            raise InputError("expected one of --run_dir, --predictions_dir and --compare")
        if self.predictions_dir and (self.data_dir is None) == (self.truth_dir is None):
            raise InputError("expected either --data_dir or --truth_dir with --predictions_dir")
        if self.truth_dir and not self.predictions_dir:
            raise InputError("expected --truth_dir with --predictions_dir only")
        if self.inference.postprocess == "auto" and not self.run_dir:
            raise InputError("expected --run_dir with --postprocess=auto")
        if self.compare and self.compare.count(",") != 1:
            raise InputError(f"--compare: expected two folders with a comma between, got {self.compare}")


def main(settings: Evaluate) -> None:
    """Scores every case, writes cases.csv, lesions.csv and summary.json, and prints them; or compares two such.

    With --postprocess=auto, the chain that helps the run is chosen first.

    Raises:
        InputError: run, predictions or data cannot be used, there is nothing to score, or a case that was due could not
            be scored; the others are scored and written all the same.
    """
    from kits_tf.analysis.evaluation_files import compare

    if settings.compare:
        from kits_tf.views.terminal.scores_table import comparison_table

        print(comparison_table(compare(*settings.compare.split(","))))
        return
    _require_inputs(settings)
    start_tensorflow()
    from kits_tf.views.terminal.scores_table import folds_table, scores_table

    result = _evaluate_run(settings, Path(settings.run_dir)) if settings.run_dir else _evaluate_masks(settings)
    if result.folds:
        print(folds_table(result.folds))
    print(scores_table(result.scores, result.summary))
    print(f"wrote {result.scores_dir}")
    result.failures.check()


def _require_inputs(settings: Evaluate) -> None:
    """Raises InputError if scores cannot be written, or an input is missing, before TensorFlow is started for it."""
    from kits_tf.ct.layouts import require_data_set
    from kits_tf.ct.scans import mask_paths
    from kits_tf.training.run_files import require_run, run_folders

    if settings.output_dir:
        require_writable(settings.output_dir)
    for folder in run_folders(settings.run_dir) if settings.run_dir else ():
        require_run(folder)
    for masks_dir in filter(None, (settings.predictions_dir, settings.truth_dir)):
        mask_paths(Path(masks_dir))
    if settings.data_dir:
        require_data_set(settings.data_dir)


def _evaluate_run(settings: Evaluate, run_dir: Path) -> "EvaluationResult":
    from kits_tf.analysis.chain_choice import choose_chain
    from kits_tf.analysis.evaluation import evaluate_run
    from kits_tf.training.run_files import run_folders
    from kits_tf.views.terminal.scores_table import chains_table

    inference = settings.inference
    if inference.postprocess == "auto":
        for folder in run_folders(str(run_dir)):
            print(chains_table(choose_chain(folder, settings.data_dir, inference)))
        inference = replace(inference, postprocess="")  # the run's own, which has just been chosen
    return evaluate_run(run_dir, settings.split, settings.data_dir, inference, _plan(settings))


def _evaluate_masks(settings: Evaluate) -> "EvaluationResult":
    from kits_tf.analysis.evaluation import evaluate_mask_pairs, evaluate_masks

    plan = _plan(settings)
    masks_dir = Path(settings.predictions_dir or "")
    if settings.truth_dir:
        return evaluate_mask_pairs(masks_dir, Path(settings.truth_dir), plan)
    return evaluate_masks(masks_dir, settings.data_dir or "", plan)


def _plan(settings: Evaluate) -> "EvaluationPlan":
    from kits_tf.analysis.evaluation import EvaluationPlan

    return EvaluationPlan(
        masks=settings.masks,
        workers=settings.workers,
        output_dir=Path(settings.output_dir) if settings.output_dir else None,
    )


COMMAND = Command(name="evaluate", settings=Evaluate, main=main)

if __name__ == "__main__":
    COMMAND.run()
