"""Commands that show, and the one that runs all."""

from dataclasses import dataclass, field

from kits_tf.config import shared
from kits_tf.config.data import (
    AppearanceSettings,
    GridSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    SplitSettings,
    WarpSettings,
)
from kits_tf.config.inference import InferenceSettings
from kits_tf.config.training import LossSettings, NetworkSettings, OptimizationSettings, ValidationSettings
from kits_tf.errors import InputError
from kits_tf.settings import Settings, required, setting


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
    grid: GridSettings = field(default_factory=GridSettings)
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


@dataclass(frozen=True, kw_only=True)
class Report(Settings):
    """Writes an evaluation as one page, report.html, that opens from disk: scores, figures, charts, a 3-D viewer.

    The cases must have been scored before, by evaluate.
    """

    run_dir: str | None = setting(None, "Folder of a training run; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks of any program, with --data_dir.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    compare: str | None = setting(
        None, "A second run, or with --predictions_dir a second folder of masks, to show beside the first."
    )
    output: str | None = setting(None, "File to write. Default: report.html beside the scores.")
    data_note: str = setting("", "What the scans are, if they are not what they seem: stands at the head of the page.")
    viewer: bool = setting(
        True, "Puts the NiiVue viewer and the scans, thinned, into the page; --noviewer leaves both out."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run_dir is None) == (self.predictions_dir is None):
            raise InputError("expected either --run_dir or --predictions_dir")
        if self.predictions_dir and not self.data_dir:
            raise InputError("expected --data_dir with --predictions_dir")
        if self.compare and self.compare == (self.run_dir or self.predictions_dir):
            raise InputError(f"--compare: expected another folder than {self.compare}")


@dataclass(frozen=True, kw_only=True)
class Demo(Settings):
    """Runs the whole line on phantoms: data, records, training, scores, export, masks, figures."""

    output_dir: str = setting("demo", "Folder for all that the demo writes; a previous demo in it is replaced.")
    num_cases: int = setting(14, "Phantoms to make.", minimum=4, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting((4.0, 2.0, 2.0), "Voxel size in mm.", above=0)
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    input: InputSettings = field(default_factory=InputSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    objective: LossSettings = field(default_factory=LossSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
