"""python -m kits_tf.figures: pictures of predicted against true masks, case by case; or augmented patches."""

from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError
from tfrecords_tools.files import written_whole

if TYPE_CHECKING:
    from kits_tf.ct.labels import Scheme
    from kits_tf.ct.layouts import CaseFiles

AUGMENTATIONS = 16


def main(settings: config.Figures) -> None:
    """Draws every mask of a folder beside the truth, or one patch under many augmentations.

    Raises:
        InputError: matplotlib is not installed, or data or masks cannot be used.
    """
    runtime.require("figures", "matplotlib")
    runtime.start_tensorflow()
    if settings.augmentations:
        draw_augmentations(settings)
    else:
        draw_predictions(settings, str(settings.predictions_dir))
    print(f"wrote {settings.output_dir}")


def draw_predictions(settings: config.Figures, predictions_dir: str) -> None:
    """Draws every mask of the folder beside the truth, on several processes."""
    from kits_tf.analysis.masks import named_scheme, predicted_cases
    from kits_tf.ct.labels import find_scheme
    from kits_tf.pipeline.workers import run_tasks

    masks_dir, output_dir = Path(predictions_dir), Path(settings.output_dir)
    scheme = named_scheme(masks_dir) or find_scheme(settings.grid.label_scheme, settings.grid.cyst_as)
    cases = predicted_cases(masks_dir, settings.data_dir)
    tasks = [(files, masks_dir, scheme, output_dir, settings.montage, settings.gif) for files in cases]
    results = run_tasks(draw_prediction, tasks, settings.workers)
    for _, result in runtime.progress(results, "figure", len(tasks)):
        if isinstance(result, InputError):
            raise result


def draw_prediction(
    files: "CaseFiles", masks_dir: Path, scheme: "Scheme", output_dir: Path, with_montage: bool, with_gif: bool
) -> None:
    """Draws the mask of one case.

    Raises:
        InputError: scan or mask cannot be used.
    """
    from kits_tf.analysis.case_masks import read_case
    from kits_tf.views import canvas
    from kits_tf.views.case_figure import case_figure
    from kits_tf.views.montage import animation, montage

    case = read_case(files, masks_dir, scheme)
    canvas.save(case_figure(case), output_dir / f"{case.case_id}.png")
    if with_montage:
        canvas.save(montage(case), output_dir / f"{case.case_id}_montage.png")
    if with_gif:
        with written_whole(output_dir / f"{case.case_id}.gif") as partial:
            partial.write_bytes(animation(case))


def draw_augmentations(settings: config.Figures) -> None:
    """Draws one patch of a case under many augmentations."""
    from kits_tf.ct.labels import find_scheme
    from kits_tf.ct.layouts import case_number, find_cases
    from kits_tf.pipeline.example import read_labeled, to_training_grid
    from kits_tf.pipeline.preview import preview_augmentations
    from kits_tf.views import canvas
    from kits_tf.views.augmentation_sheet import augmentation_sheet

    labeled = [files for files in find_cases(settings.data_dir) if files.labels is not None]
    chosen = [files for files in labeled if settings.case in (None, case_number(files.case_id))]
    if not chosen:
        wanted = "a case with a mask" if settings.case is None else f"case {settings.case} with a mask"
        raise InputError(f"{settings.data_dir}: expected {wanted}, found {len(labeled)} other cases with masks")
    scheme = find_scheme(settings.grid.label_scheme, settings.grid.cyst_as)
    case = to_training_grid(chosen[0].case_id, read_labeled(chosen[0], scheme), settings.grid)
    intensity = settings.intensity
    groups = settings.patches, settings.warp, settings.appearance, intensity
    previews = preview_augmentations(case, scheme, *groups, settings.seed, AUGMENTATIONS)
    for preview in previews:
        print(preview.words)
    path = Path(settings.output_dir) / f"{case.case_id}_augmentations.png"
    title = f"{case.case_id}: one patch under {len(previews)} augmentations, middle axial plane"
    low, high = ((hu - intensity.mean_hu) / intensity.std_hu for hu in intensity.window_hu)
    canvas.save(augmentation_sheet(title, previews, scheme, case.grid.spacing_mm, (low, high)), path)


if __name__ == "__main__":
    commandline.run(config.Figures, main)
