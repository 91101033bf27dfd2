"""All settings of a training run."""

from dataclasses import dataclass, field

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, setting
from kits_tf.config import shared
from kits_tf.config.data import (
    AppearanceSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    RecordsSettings,
    WarpSettings,
)
from kits_tf.config.inference import InferenceSettings
from kits_tf.config.training import LossSettings, NetworkSettings, OptimizationSettings, ValidationSettings


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Settings of a training run, as its train.flags has them"""

    records_dir: str = shared.records_dir()
    run_dir: str = shared.run_dir()
    seed: int = shared.seed()
    fold: int | None = setting(
        None,
        "Fold of the records to validate on; the others are for training. Default: the records' own split.",
        minimum=0,
    )
    all_folds: bool = setting(False, "Trains on every fold in turn, in RUN/fold0, RUN/fold1, ...")
    deterministic: bool = setting(
        False,
        "Makes a repeated run equal to the last bit on the same machine. This is slower, and implies "
        "--patch_order=fixed.",
    )
    cluster: str = setting(
        "tf_config",
        "What names the processes that train together. tf_config: the variable TF_CONFIG, if it is set; slurm: srun, "
        "which has started them, one on each node.",
        choices=("tf_config", "slurm"),
    )
    checkpoint_minutes: float = setting(
        10.0, "Longest time between two checkpoints; one is written after each epoch too.", above=0
    )
    profile_steps: int = setting(
        0, "Steps to record with TensorFlow's profiler, after the first two; TensorBoard shows them.", minimum=0
    )
    plugins: tuple[str, ...] | None = setting(None, "Your own modules to import first (docs/extending.md).")
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
