"""python -m kits_tf.figures: pictures of masks over their scans, beside the truth if there is one; or of patches."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command, UsageError
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import require_own, require_writable
from kits_tf.base.packages import require
from kits_tf.base.settings import Settings, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import (
    AppearanceSettings,
    DicomSettings,
    GridSettings,
    IntensitySettings,
    MaskSchemeSettings,
    PatchSettings,
    ResamplingSettings,
    WarpSettings,
    shared,
)

if TYPE_CHECKING:
    from kits_tf.analysis.mask_files import MaskFolder
    from kits_tf.views.drawings.prediction_figures import Drawings, FigurePlan

AUGMENTATIONS = 16
_MASKS_DIR = shared.MASKS_DIR


@dataclass(frozen=True, kw_only=True)
class Figures(Settings):
    """Draws masks over their scans, one PNG each: of SCANs, or of a data set with its truth.

    The mask of a SCAN is among the arguments, as in figures scan.nii.gz mask.nii.gz, or in the folder of masks: the one
    that was made from the scan, or that of its name.

    With --augmentations draws one patch of a data set as training would see it.
    """

    data_dir: str | None = setting(None, f"{shared.DATA_SET} Or name scans after the flags.")
    output_dir: str = setting("figures", "Folder to write NAME.png, ... or case_00000_augmentations.png to.")
    predictions_dir: str | None = setting(
        None, f"Folder of masks NAME.nii.gz, of predict or of any program. Default: {_MASKS_DIR}, as predict has it."
    )
    montage: bool = setting(False, "Draws NAME_montage.png too: 20 axial planes.")
    gif: bool = setting(False, "Draws NAME.gif too: up to 60 axial planes, one after the other.")
    augmentations: bool = setting(
        False, "Draws one patch of --data_dir, around a labeled voxel, under 16 augmentations, in place of masks."
    )
    case: int | None = setting(
        None, "Number of the case to augment. Default: the first one that has a mask.", minimum=0
    )
    seed: int = shared.seed()
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    resampling: ResamplingSettings = field(default_factory=ResamplingSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentations and self.data_dir is None:
            raise InputError("--augmentations: expected --data_dir with it")
        if self.case is not None and not self.augmentations:
            raise InputError("--case: expected --augmentations with it")
        if self.augmentations and (self.predictions_dir or self.montage or self.gif):
            raise InputError("--augmentations: expected no --predictions_dir, --montage or --gif with it")

    @property
    def masks_dir(self) -> Path:
        """The folder of the masks."""
        return Path(self.predictions_dir or _MASKS_DIR)


def main(settings: Figures, inputs: list[str]) -> None:
    """Draws the masks of scans or of a data set, or one patch under many augmentations.

    Raises:
        InputError: matplotlib is not installed, there is nothing to draw, or scans or masks cannot be used; the others
            are drawn.
    """
    require("figures", "matplotlib")
    if bool(inputs) == (settings.data_dir is not None):
        raise UsageError(f"expected scans or --data_dir, got {'both' if inputs else 'neither'}")
    require_writable(settings.output_dir)
    if settings.augmentations:
        _draw_augmentations(settings, str(settings.data_dir))
    else:
        _draw_masks(settings, inputs)


def _draw_masks(settings: Figures, inputs: list[str]) -> None:
    """Draws the mask of every scan, or every mask that has a case in the data set, on several processes.

    Raises:
        InputError: a file is there that is no picture of kits_tf, and nothing is drawn; or a mask cannot be drawn, and
            the others are.
    """
    from kits_tf.analysis.mask_files import check_flags, label_note

    drawings = _of_scans(settings, inputs) if inputs else _of_data_set(settings)
    from kits_tf.views.drawings.prediction_figures import draw_all

    masks = drawings.plan.masks.masks
    check_flags(masks.values(), settings.masks)
    done = draw_all(drawings, settings.workers)
    if done:
        if note := label_note(mask for name, mask in masks.items() if name in done):
            print(note)
        print(f"wrote {settings.output_dir}")
    drawings.failures.check()


def _of_scans(settings: Figures, inputs: list[str]) -> "Drawings":
    """Returns the drawings of scans of any kind, whose masks lie in a folder or are among the inputs.

    Raises:
        InputError: there are no masks, or masks are given twice.
    """
    from kits_tf.analysis.mask_files import is_mask, masks_at, open_masks
    from kits_tf.ct.scans import collect_scans, find_masks
    from kits_tf.ct.volume import has_nifti_suffix

    files = [text for text in inputs if has_nifti_suffix(Path(text)) and Path(text).is_file()]
    given = [text for text in files if is_mask(Path(text))]
    scans = collect_scans([text for text in inputs if text not in given], settings.dicom)
    if not given:
        masks = open_masks(settings.masks_dir, settings.masks)
    elif settings.predictions_dir:
        raise InputError(f"--predictions_dir: expected no mask among the scans with it, got {given[0]}")
    elif not scans:
        raise InputError(f"{given[0]}: expected a scan before its mask, got a mask")
    else:
        paths = dict(find_masks(given))
        if len(paths) == len(scans) == 1:  # whatever their names
            paths = {scans[0].name: Path(given[0])}
        masks = masks_at(paths, Path(given[0]).parent, settings.masks)
    start_tensorflow()
    from kits_tf.views.drawings.prediction_figures import drawings_of_scans

    return drawings_of_scans(scans, settings.dicom, _plan(settings, masks))


def _of_data_set(settings: Figures) -> "Drawings":
    """Returns the drawings of the cases of a data set that have a mask, beside their true masks.

    Raises:
        InputError: the data set cannot be used, or no mask has a case.
    """
    from kits_tf.analysis.mask_files import open_masks
    from kits_tf.analysis.masks import predicted_cases

    masks = open_masks(settings.masks_dir, settings.masks)
    predicted = predicted_cases(masks.names, settings.masks_dir, str(settings.data_dir))
    masks = masks.with_cysts_of(files.labels for files in predicted.cases if files.labels)
    failures = Failures("case", len(masks.names))
    for name, problem in predicted.surplus.items():
        failures.note(name, problem)
    start_tensorflow()
    from kits_tf.views.drawings.prediction_figures import Drawings, draw_prediction

    plan = _plan(settings, masks)
    tasks = {files.case_id: (files, plan) for files in predicted.cases}
    return Drawings(draw=draw_prediction, tasks=tasks, plan=plan, failures=failures)


def _plan(settings: Figures, masks: "MaskFolder") -> "FigurePlan":
    from kits_tf.views.drawings.prediction_figures import FigurePlan

    return FigurePlan(masks=masks, output_dir=Path(settings.output_dir), montage=settings.montage, gif=settings.gif)


def _draw_augmentations(settings: Figures, data_dir: str) -> None:
    """Draws one patch of a case under many augmentations, and prints what each of them does.

    Raises:
        InputError: the folder has no such case with a mask, or it cannot be used.
    """
    from kits_tf.ct.layouts import case_number, find_cases, require_data_set

    require_data_set(data_dir)
    start_tensorflow()
    from kits_tf.ct.cases import read_labeled
    from kits_tf.ct.labels import scheme_of
    from kits_tf.pipeline.case import to_training_grid
    from kits_tf.pipeline.preview import preview_augmentations
    from kits_tf.pipeline.recipe import PatchRecipe
    from kits_tf.views.drawings import canvas
    from kits_tf.views.drawings.augmentation_sheet import augmentation_sheet

    labeled = [files for files in find_cases(data_dir) if files.labels is not None]
    chosen = [files for files in labeled if settings.case in (None, case_number(files.case_id))]
    if not chosen:
        expected = "a case with a mask" if settings.case is None else f"case {settings.case} with a mask"
        raise InputError(f"{data_dir}: expected {expected}, found {len(labeled)} other cases with masks")
    named = {name: value for name, value in asdict(settings.masks).items() if value}
    grid = GridSettings(**asdict(settings.resampling), **named)
    scheme = scheme_of(grid)
    path = Path(settings.output_dir) / f"{chosen[0].case_id}_augmentations.png"
    require_own([path])
    case = to_training_grid(chosen[0].case_id, read_labeled(chosen[0], scheme), grid)
    recipe, intensity = PatchRecipe.from_settings(settings), settings.intensity
    previews = preview_augmentations(case, scheme, recipe, settings.seed, AUGMENTATIONS)
    for preview in previews:
        print(preview.words)
    title = f"{case.case_id}: one patch under {len(previews)} augmentations, middle axial plane"
    low, high = ((hu - intensity.mean_hu) / intensity.std_hu for hu in intensity.window_hu)
    canvas.save(augmentation_sheet(title, previews, scheme, case.grid.spacing_mm, (low, high)), path)
    print(f"wrote {path}")


COMMAND = Command(name="figures", settings=Figures, main=main, inputs="SCAN", needs_inputs=False)

if __name__ == "__main__":
    COMMAND.run()
