"""python -m kits_tf.train: records -> a trained network in a run directory."""

import os
import re
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base import devices
from kits_tf.base.command import Command
from kits_tf.base.errors import InputError, TryAgainError
from kits_tf.base.files import require_writable
from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.packages import is_installed
from kits_tf.base.progress import still_working
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import RunSettings
from tfrecords_tools.read import check_files

if TYPE_CHECKING:
    import tensorflow as tf

    from kits_tf.pipeline.manifest import Manifest
    from kits_tf.training.history import HistoryRow
    from kits_tf.training.plan import TrainingPlan


# No network that has learned anything marks kidneys so badly.
_LEARNED_DICE = 0.1


@dataclass(frozen=True, kw_only=True)
class Train(RunSettings):
    """Trains a network on the records; started again on the same folder, it continues where it stopped."""


def main(settings: Train) -> None:
    """Trains, or goes on with a run that was interrupted.

    Raises:
        InputError: records or run directory do not fit the settings, the loss became infinite, or a worker is lost.
    """
    keep_freed_memory()
    manifest = _checked_manifest(settings)
    start_tensorflow()
    import tensorflow as tf

    from kits_tf.network.architecture import make_architecture
    from kits_tf.training.plan import TrainingPlan
    from kits_tf.training.strategy import choose_strategy, is_chief, num_workers

    architecture = make_architecture(settings.network)
    architecture.check_training(settings.patches.patch_size_zyx, settings.optimization.rematerialize)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = choose_strategy(settings.cluster)
    try:
        for run in _runs(settings, manifest):
            plan = TrainingPlan(
                settings=run,
                manifest=manifest if run.fold is None else manifest.of_fold(run.fold),
                architecture=architecture,
                run_dir=Path(run.run_dir),
            )
            _train(plan, strategy)
        if settings.all_folds and is_chief(strategy):
            print(f"python -m kits_tf.evaluate --run_dir={settings.run_dir} scores all folds together")
    except SystemExit:  # after SIGTERM, with all saved
        if settings.cluster == "slurm":
            raise SystemExit(TryAgainError.status) from None
        raise
    except (tf.errors.FailedPreconditionError, tf.errors.InvalidArgumentError, tf.errors.UnknownError):
        # A folder in the place of a record, or a disk that fails; but also whatever else TensorFlow refuses.
        _name_damage(manifest, settings.records_dir)
        raise
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError) as error:
        _name_damage(manifest, settings.records_dir)
        raise InputError(f"{settings.records_dir}: a record cannot be read: {error.message:.200}") from None
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if num_workers(strategy) == 1:
            raise
        lost = re.search(r"/job:\w+/replica:\d+/task:\d+$", error.message, re.MULTILINE)
        raise TryAgainError(
            f"lost {lost[0] if lost else 'another worker'}; start all again to continue from the last checkpoint"
        ) from None


def _checked_manifest(settings: Train) -> "Manifest":
    """Returns the manifest of the records, after all that can be checked without TensorFlow.

    Raises:
        InputError: records, folder or initial weights do not fit the settings.
    """
    from kits_tf.inference.postprocess import parse_postprocess
    from kits_tf.pipeline.manifest import Manifest
    from kits_tf.training.run_files import is_run, require_own_or_new, require_run, run_folder

    parse_postprocess(settings.inference.postprocess)  # which the run's masks go through by default
    manifest = Manifest.read(settings.records_dir)
    manifest.check_settings(settings.records, settings.records_dir)
    manifest.check_shards(settings.records_dir)
    folders = [Path(run.run_dir) for run in _runs(settings, manifest)]
    for folder in folders:
        if settings.cluster != "slurm" and not os.environ.get("TF_CONFIG"):  # else another process may be writing to it
            require_own_or_new(folder)
    if settings.optimization.initial_weights and not all(map(is_run, folders)):  # which have weights of their own
        require_run(run_folder(settings.optimization.initial_weights))
    require_writable(settings.run_dir)
    return manifest


def _name_damage(manifest: "Manifest", records_dir: str) -> None:
    """Reads all records again: TensorFlow's own error does not say which file it was.

    Raises:
        RecordError: a file cannot be read, or a record in it is damaged.
    """
    check_files(Path(records_dir) / name for name in manifest.shards)


def _runs(settings: Train, manifest: "Manifest") -> list[Train]:
    """Returns the settings of each run: one, or one a fold."""
    if not settings.all_folds:
        return [settings]
    if not manifest.folds:
        raise InputError(f"--all_folds: expected records with folds, found none in {settings.records_dir}")
    return [
        replace(settings, all_folds=False, fold=fold, run_dir=str(Path(settings.run_dir) / f"fold{fold}"))
        for fold in range(len(manifest.folds))
    ]


def _train(plan: "TrainingPlan", strategy: "tf.distribute.Strategy") -> None:
    """Trains one run, and scores and draws its epochs."""
    from kits_tf.analysis.evaluation import validation_scorer
    from kits_tf.training import run
    from kits_tf.training.epoch_loop import EpochHooks
    from kits_tf.training.fit import fit
    from kits_tf.training.overview import describe_strategy
    from kits_tf.training.strategy import is_chief
    from kits_tf.views.drawings.overlay import validation_overlays

    settings, manifest = plan.settings, plan.manifest
    chief = is_chief(strategy)
    hooks = EpochHooks(
        score_cases=validation_scorer(plan) if settings.validation.whole_cases_every else None,
        draw=validation_overlays(settings, manifest) if chief else None,
    )
    with run.locked_run_dir(plan.run_dir) if chief else nullcontext():
        if chief:
            run.open_run_dir(settings, manifest)
        precision = devices.choose_precision(settings.optimization.precision)
        print(f"{describe_strategy(strategy, settings.optimization)}, {precision}")
        with devices.layers_in(precision):
            history = fit(plan, strategy, hooks)
        if chief:
            _conclude(plan, history)


def _conclude(plan: "TrainingPlan", history: "list[HistoryRow]") -> None:
    """Draws the learning curves and prints what was reached."""
    from kits_tf.training import run
    from kits_tf.training.history import best_row

    validation = plan.settings.validation
    best = best_row(history, validation)
    if is_installed("matplotlib"):
        with still_working("drawing the learning curves"):
            from kits_tf.views.drawings import canvas
            from kits_tf.views.drawings.learning_curves import learning_curves

            figure = learning_curves(str(plan.run_dir), history, best.epoch if best else None)
            canvas.save(figure, plan.run_dir / run.CURVES)
    else:
        print(f"{run.CURVES} needs matplotlib: pip install 'kits_tf[figures]'")
    if best:
        kidney, tumor = (best.deciding_scores(validation)[f"{region}_dice"] for region in ("kidney", "tumor"))
        print(f"best epoch {best.epoch + 1}: kidney {kidney:.3f}, tumor {tumor:.3f}")
        if kidney < _LEARNED_DICE:
            print(
                "WARNING: the network has not learned to find kidneys: lower --learning_rate, now "
                f"{plan.settings.optimization.learning_rate:g}, or train for more epochs"
            )
    whole_cases = "whole validation cases"
    over = whole_cases if validation.whole_cases_every else "validation patches; evaluate scores whole cases"
    print(f"wrote {plan.run_dir} (Dice above is over {over})")


COMMAND = Command(name="train", settings=Train, main=main, continues=True)

if __name__ == "__main__":
    COMMAND.run()
