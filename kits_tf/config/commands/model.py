"""Commands that train a network and use it."""

from dataclasses import dataclass, field

from kits_tf.config import shared
from kits_tf.config.data import (
    AppearanceSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    RecordsSettings,
    WarpSettings,
)
from kits_tf.config.inference import DicomSettings, InferenceSettings
from kits_tf.config.shared import CYST_CHOICES, SCHEME_CHOICES
from kits_tf.config.training import LossSettings, NetworkSettings, OptimizationSettings, ValidationSettings
from kits_tf.errors import InputError
from kits_tf.settings import Settings, required, setting


@dataclass(frozen=True, kw_only=True)
class Train(Settings):
    """Trains a 3-D U-Net on the records; started again on the same folder, it goes on where it stopped."""

    records_dir: str = shared.records_dir()
    run_dir: str = shared.run_dir()
    seed: int = shared.seed()
    fold: int | None = setting(
        None,
        "Validate on this fold of the records and train on the others. Default: the records' own split.",
        minimum=0,
    )
    all_folds: bool = setting(False, "Trains on every fold in turn, in RUN/fold0, RUN/fold1, ...")
    deterministic: bool = setting(
        False, "The same run again is equal to the last bit, on the same machine: in --patch_order=fixed, and slower."
    )
    checkpoint_minutes: float = setting(
        10.0, "Longest time between two checkpoints, of which there is one after each epoch too.", above=0
    )
    profile_steps: int = setting(
        0, "Steps to record with TensorFlow's profiler, after the first two; TensorBoard shows them.", minimum=0
    )
    records: RecordsSettings = field(default_factory=RecordsSettings)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_folds and self.fold is not None:
            raise InputError(f"--all_folds: expected no --fold with it, got --fold={self.fold}")


@dataclass(frozen=True, kw_only=True)
class Evaluate(Settings):
    """Scores a run on the original grid, or masks from any program; or compares two evaluations."""

    run_dir: str | None = setting(None, "Folder of a training run to score; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run to score.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ... to score, of any program.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    truth_dir: str | None = setting(
        None,
        "Folder of true masks with the names of those in --predictions_dir, instead of --data_dir. Labels that they do "
        "not name are the challenge's.",
    )
    compare: str = setting(
        "", "Two evaluations, with a comma between: folders with a cases.csv. Tells how the second one differs."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()
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


@dataclass(frozen=True, kw_only=True)
class Predict(Settings):
    """Segments scans: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns like 'scans/*.nii.gz'."""

    model: str = required(
        "A training run, a folder of its folds, or several with commas between, which are averaged; or an exported "
        "model (models/kits or models/kits/1)."
    )
    output_dir: str = required("Folder to write one mask a scan to; scans whose mask is there are left out.")
    labels: str = shared.mask_labels()
    probabilities: bool = setting(
        False, "Also writes NAME_probabilities.nii.gz, (i, j, k, class) of all classes but background."
    )
    uncertainty: bool = setting(
        False, "Also writes NAME_uncertainty.nii.gz: how far models and mirror images disagree, from 0 to 1."
    )
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True, kw_only=True)
class Measure(Settings):
    """Measures kidneys and lesions: NIfTI masks, KiTS19 case folders, folders of these, or patterns."""

    image: str | None = setting(
        None, "Scan that a single mask belongs to, or folder of scans with the masks' names: for HU, and for sides."
    )
    output_dir: str | None = setting(None, "Folder to write kidneys, pairs and lesions to, as CSV and JSON.")
    label_scheme: str = setting(
        "laterality", "Scheme of masks that do not name their labels, as those of predict do.", choices=SCHEME_CHOICES
    )
    cyst_as: str = setting("kidney", "What cysts are in masks that do not name their labels.", choices=CYST_CHOICES)


@dataclass(frozen=True, kw_only=True)
class Submission(Settings):
    """Makes KiTS19's predictions.zip of a folder of masks, or checks one."""

    predictions_dir: str | None = setting(None, "Folder of masks case_00210.nii.gz, ... to pack; with --output.")
    output: str | None = setting(None, "Zip file to write, with prediction_00210.nii.gz, ...")
    check: str | None = setting(None, "Zip file to check; with --data_dir.")
    data_dir: str | None = setting(None, "Folder of the scans: every one without a true mask, else every one, is due.")
    label_scheme: str = setting(
        "laterality", "Scheme of masks that do not name their labels, as those of predict do.", choices=SCHEME_CHOICES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (self.check is None):
            raise InputError("expected either --predictions_dir or --check")
        if (self.predictions_dir is None) != (self.output is None):
            raise InputError("expected --output with --predictions_dir, and not without")
        if self.check is not None and self.data_dir is None:
            raise InputError("expected --data_dir with --check")
