"""python -m kits_tf.figures: pictures of predicted against true masks, case by case; or augmented patches."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import require_writable
from kits_tf.base.packages import require
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, required, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import (
    AppearanceSettings,
    GridSettings,
    IntensitySettings,
    MaskSchemeSettings,
    PatchSettings,
    ResamplingSettings,
    WarpSettings,
    shared,
)

AUGMENTATIONS = 16


@dataclass(frozen=True, kw_only=True)
class Figures(Settings):
    """Draws predicted against true masks over the scan, one PNG a case; or one patch as training would see it.

    Cases without a true mask are drawn with the prediction alone.
    """

    data_dir: str = shared.data_dir()
    output_dir: str = required("Folder to write case_00000.png, ... or case_00000_augmentations.png to.")
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ...; or give --augmentations.")
    montage: bool = setting(False, "Draws case_00000_montage.png too: 20 axial planes.")
    gif: bool = setting(False, "Draws case_00000.gif too: up to 60 axial planes, one after the other.")
    augmentations: bool = setting(
        False, "Draws one patch around a labeled voxel under 16 augmentations; or give --predictions_dir."
    )
    case: int | None = setting(
        None, "Number of the case to augment. Default: the first one that has a mask.", minimum=0
    )
    seed: int = shared.seed()
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)
    resampling: ResamplingSettings = field(default_factory=ResamplingSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (not self.augmentations):
            raise InputError("expected either --predictions_dir or --augmentations")
        if self.case is not None and not self.augmentations:
            raise InputError("--case: expected --augmentations with it")
        if self.augmentations and (self.montage or self.gif):
            raise InputError("expected --predictions_dir with --montage and --gif")


def main(settings: Figures) -> None:
    """Draws every mask of a folder beside the truth, or one patch under many augmentations.

    Raises:
        InputError: matplotlib is not installed, or data or masks cannot be used; the other cases are drawn.
    """
    require("figures", "matplotlib")
    require_writable(settings.output_dir)
    start_tensorflow()
    if settings.predictions_dir is not None:
        _draw_predictions(settings, Path(settings.predictions_dir))
    else:
        _draw_augmentations(settings)
        print(f"wrote {settings.output_dir}")


def _draw_predictions(settings: Figures, masks_dir: Path) -> None:
    """Draws every mask of the folder beside the truth, on several processes.

    Raises:
        InputError: a case cannot be drawn; the others are.
    """
    from kits_tf.analysis.mask_files import check_flags, label_note, open_masks
    from kits_tf.analysis.masks import predicted_cases
    from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
    from kits_tf.views.drawings.prediction_figures import FigurePlan, draw_prediction

    masks = open_masks(masks_dir, settings.masks)
    check_flags(masks.masks.values(), settings.masks)
    predicted = predicted_cases(masks.names, masks_dir, settings.data_dir)
    masks = masks.with_cysts_of(files.labels for files in predicted.cases if files.labels)
    plan = FigurePlan(
        masks=masks,
        output_dir=Path(settings.output_dir),
        montage=settings.montage,
        gif=settings.gif,
    )
    cases, failures = predicted.cases, Failures("case", len(masks.names))
    for name, problem in predicted.surplus.items():
        failures.note(name, problem)
    tasks = [(files, plan) for files in cases]
    results = run_tasks(draw_prediction, tasks, settings.workers, start_tensorflow_in_worker)
    for index, result in track(results, "figure", len(tasks)):
        if isinstance(result, InputError):
            failures.note(cases[index].case_id, result)
    if len(failures) < len(masks.names):
        print(label_note(masks.masks.values()))
        print(f"wrote {settings.output_dir}")
    failures.check()


def _draw_augmentations(settings: Figures) -> None:
    """Draws one patch of a case under many augmentations, and prints what each of them does.

    Raises:
        InputError: the folder has no such case with a mask, or it cannot be used.
    """
    from kits_tf.ct.cases import read_labeled
    from kits_tf.ct.labels import scheme_of
    from kits_tf.ct.layouts import case_number, find_cases
    from kits_tf.pipeline.case import to_training_grid
    from kits_tf.pipeline.preview import preview_augmentations
    from kits_tf.pipeline.recipe import PatchRecipe
    from kits_tf.views.drawings import canvas
    from kits_tf.views.drawings.augmentation_sheet import augmentation_sheet

    labeled = [files for files in find_cases(settings.data_dir) if files.labels is not None]
    chosen = [files for files in labeled if settings.case in (None, case_number(files.case_id))]
    if not chosen:
        expected = "a case with a mask" if settings.case is None else f"case {settings.case} with a mask"
        raise InputError(f"{settings.data_dir}: expected {expected}, found {len(labeled)} other cases with masks")
    named = {name: value for name, value in asdict(settings.masks).items() if value}
    grid = GridSettings(**asdict(settings.resampling), **named)
    scheme = scheme_of(grid)
    case = to_training_grid(chosen[0].case_id, read_labeled(chosen[0], scheme), grid)
    recipe, intensity = PatchRecipe.from_settings(settings), settings.intensity
    previews = preview_augmentations(case, scheme, recipe, settings.seed, AUGMENTATIONS)
    for preview in previews:
        print(preview.words)
    path = Path(settings.output_dir) / f"{case.case_id}_augmentations.png"
    title = f"{case.case_id}: one patch under {len(previews)} augmentations, middle axial plane"
    low, high = ((hu - intensity.mean_hu) / intensity.std_hu for hu in intensity.window_hu)
    canvas.save(augmentation_sheet(title, previews, scheme, case.grid.spacing_mm, (low, high)), path)


COMMAND = Command(name="figures", settings=Figures, main=main)

if __name__ == "__main__":
    COMMAND.run()
