"""python -m kits_tf.figures: predicted against true masks, one PNG a case; or augmented patches."""

from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError

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
    """Draws every mask of the folder beside the truth."""
    from kits_tf.analysis.evaluation import read_truth
    from kits_tf.analysis.masks import predicted_cases, read_prediction
    from kits_tf.ct.labels import find_scheme
    from kits_tf.views.case_figure import draw_case

    scheme, masks_dir = find_scheme(settings.grid.label_scheme, settings.grid.cyst_as), Path(predictions_dir)
    cases = predicted_cases(masks_dir, settings.data_dir)
    for files in runtime.progress(cases, "figure", len(cases)):
        image, truth = read_truth(files, scheme)
        predicted = read_prediction(masks_dir, files.case_id, image, scheme)
        path = Path(settings.output_dir) / f"{files.case_id}.png"
        draw_case(path, files.case_id, image.array, truth, predicted, scheme, image.grid.spacing_mm)


def draw_augmentations(settings: config.Figures) -> None:
    """Draws one patch of a case under many augmentations."""
    from kits_tf.ct.labels import find_scheme
    from kits_tf.ct.layouts import case_number, find_cases
    from kits_tf.pipeline.example import read_labeled, to_training_grid
    from kits_tf.pipeline.preview import preview_augmentations
    from kits_tf.views.augmentation_sheet import draw_sheet

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
    draw_sheet(path, title, previews, scheme, case.grid.spacing_mm, (low, high))


if __name__ == "__main__":
    commandline.run(config.Figures, main)
