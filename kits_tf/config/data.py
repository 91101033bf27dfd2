"""Groups of settings of data: its grid, records, patches and augmentation."""

from dataclasses import dataclass, field, make_dataclass
from typing import Any

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, flag_fields, format_value, setting
from kits_tf.config import shared
from kits_tf.config.shared import KERNEL_CHOICES


def _chance(default: float, event: str) -> Any:
    return setting(default, f"Chance of {event}.", minimum=0, maximum=1)


def _range(default: tuple[float, float], help_text: str, **limits: Any) -> Any:
    return setting(default, help_text, is_range=True, **({"minimum": 0} | limits))


# Cubic B-splines fold space once a control point may move further than their distance over 2.48 (Choi and Lee 2000,
# "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical Models 62(6)).
ELASTIC_LIMIT = 0.4


@dataclass(frozen=True, kw_only=True)
class ResamplingSettings(Settings):
    """Training grid"""

    spacing_zyx_mm: tuple[float, float, float] = setting(
        (1.6, 1.2, 1.2), "Voxel size that every scan is resampled to, in mm.", above=0
    )
    image_kernel: str = setting(
        "cubic_fit",
        "Interpolation of scans; the kernels named _fit avoid aliasing by least squares.",
        choices=KERNEL_CHOICES,
    )
    label_kernel: str = setting(
        "cubic_fit",
        "Interpolation of labels, class by class; the class with the largest value wins.",
        choices=KERNEL_CHOICES,
    )
    crop: str = setting("none", "body: records hold only the box around the body.", choices=("none", "body"))


@dataclass(frozen=True, kw_only=True)
class GridSettings(ResamplingSettings):
    """Training grid and labels"""

    label_scheme: str = shared.label_scheme()
    cyst_as: str = shared.cyst_as()


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Settings):
    """Splits"""

    test_cases: str = setting("180-209", "Numbers of the cases held out for the final test, for example 10-12,15.")
    validation_fraction: float = setting(
        0.1, "Share of the other cases used for validation, drawn by --seed; at least one case.", above=0, below=1
    )
    exclude_cases: str = setting("", "Numbers of the cases to exclude, for example 15,23.")
    splits_file: str = setting(
        "", 'JSON file that lists the splits: {"train": [case ids], "validation": [...], "test": [...]}.'
    )
    num_folds: int = setting(
        5, "Folds of the training and validation cases, for train's --fold; at most one per case. 0: none.", minimum=0
    )


def _expectations(*groups: type[Settings]) -> Any:
    """Returns a settings class with every flag of some groups; None, the default of each, expects nothing."""
    flags = [
        (item.name, value_type | None, field(default=None, metadata=item.metadata))
        for group in groups
        for _, item, value_type in flag_fields(group)
    ]
    return make_dataclass("Expectations", flags, bases=(Settings,), frozen=True, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class RecordsSettings(_expectations(GridSettings, SplitSettings)):  # type: ignore[misc]
    """Records, as convert made them; a value given here must be that of the records"""


@dataclass(frozen=True, kw_only=True)
class IntensitySettings(Settings):
    """Normalization on the device: (clip(HU) - mean) / std"""

    window_hu: tuple[float, float] = setting((-79.0, 304.0), "Range that Hounsfield units are clipped to.")
    mean_hu: float = setting(101.0, "Value that is subtracted from the clipped Hounsfield units.")
    std_hu: float = setting(76.9, "Value that the difference is divided by.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.window_hu[0] < self.window_hu[1]:
            raise InputError(f"--window_hu: expected a lower and a higher value, got {format_value(self.window_hu)}")


@dataclass(frozen=True, kw_only=True)
class PatchSettings(Settings):
    """Patches"""

    patch_size_zyx: tuple[int, int, int] = shared.patch_size()
    patches_per_case: int = setting(8, "Patches read from each training case in an epoch.", minimum=1)
    foreground_fraction: float = setting(
        0.67, "Share of patches around a voxel of a foreground class, each class equally often.", minimum=0, maximum=1
    )
    crop_shift_fraction: float = setting(
        0.1, "Largest random shift of a training patch, as a share of its size.", minimum=0, maximum=1
    )
    shuffle_patches: int = setting(64, "Patches held in memory for shuffling.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class InputSettings(Settings):
    """Input pipeline"""

    patch_order: str = setting(
        "fast",
        "fixed: batches in the same order for the same seed, on any machine. fast: the same patches, "
        "each as soon as it is ready.",
        choices=("fast", "fixed"),
    )
    cases_at_once: int = setting(2, "Cases in memory at the same time, whose patches are mixed.", minimum=1)
    cache: str = setting(
        "",
        "Where records are kept after they have been read: memory, or a folder on a fast disk. Empty: nowhere.",
        is_path=True,
    )


@dataclass(frozen=True, kw_only=True)
class WarpSettings(Settings):
    """Augmentation in space, on the device, training only"""

    rotation_probability: float = _chance(0.2, "a rotation")
    rotation_zyx_degrees: tuple[float, float, float] = setting(
        (30.0, 15.0, 15.0), "Largest rotation about the z, y and x axes, in either direction.", minimum=0, maximum=90
    )
    scale_probability: float = _chance(0.2, "a magnification")
    scale_range: tuple[float, float] = _range((0.7, 1.4), "Smallest and largest magnification.", above=0)
    axis_scale_probability: float = _chance(0.0, "a separate magnification of each axis, in addition to the other")
    axis_scale_range: tuple[float, float] = _range(
        (0.9, 1.1), "Smallest and largest magnification of an axis.", above=0
    )
    flip_zyx_probability: tuple[float, float, float] = setting(
        (0.0, 0.0, 0.5), "Chance of a mirror image along z, y, x; along x, right and left swap.", minimum=0, maximum=1
    )
    elastic_probability: float = _chance(0.0, "an elastic deformation")
    elastic_mm: float = setting(8.0, "Largest displacement of a control point along each axis, in mm.", minimum=0)
    elastic_spacing_mm: float = setting(40.0, "Distance between control points, in mm.", above=0)
    warp_kernel: str = setting("linear", "Interpolation of warped scans.", choices=("linear", "cubic"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.elastic_mm > ELASTIC_LIMIT * self.elastic_spacing_mm:
            most = f"at most {ELASTIC_LIMIT} of --elastic_spacing_mm={self.elastic_spacing_mm}, or space folds"
            raise InputError(f"--elastic_mm: expected {most}, got {self.elastic_mm}")


@dataclass(frozen=True, kw_only=True)
class AppearanceSettings(Settings):
    """Augmentation of intensities, on the device, training only; ranges are of normalized values"""

    noise_probability: float = _chance(0.1, "Gaussian noise")
    noise_variance_range: tuple[float, float] = _range((0.0, 0.1), "Smallest and largest variance of the noise.")
    blur_probability: float = _chance(0.2, "Gaussian blur")
    blur_sigma_range: tuple[float, float] = _range((0.5, 1.0), "Smallest and largest sigma in voxels.", above=0)
    brightness_probability: float = _chance(0.15, "a change of brightness")
    brightness_range: tuple[float, float] = _range((0.75, 1.25), "Smallest and largest factor.", above=0)
    contrast_probability: float = _chance(0.15, "a change of contrast")
    contrast_range: tuple[float, float] = _range((0.75, 1.25), "Smallest and largest factor about the mean.", above=0)
    low_resolution_probability: float = _chance(0.25, "simulated low resolution")
    low_resolution_range: tuple[float, float] = _range(
        (0.5, 1.0), "Smallest and largest share of the voxels that is kept along each axis.", above=0, maximum=1
    )
    gamma_probability: float = _chance(0.3, "a gamma curve")
    inverted_gamma_probability: float = _chance(0.1, "a gamma curve of the negative")
    gamma_range: tuple[float, float] = _range((0.7, 1.5), "Smallest and largest exponent.", above=0)
    random_convolution_probability: float = _chance(
        0.0, "random convolutions, which change grays and textures of tissues, to prepare for other scanners"
    )


@dataclass(frozen=True, kw_only=True)
class ConversionSettings(Settings):
    """Settings of a conversion"""

    data_dir: str = shared.data_dir()
    records_dir: str = shared.records_dir()
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    workers: int = shared.workers()
    part: str = shared.part()
    data_note: str = setting(
        "",
        "Description of the data for the masks of networks trained on it, for example 'phantoms: not for real scans'. "
        "Default: data_note.txt in --data_dir, which phantom and simulate write, or nothing.",
    )
    runner: str = setting(
        "processes",
        "Where cases are converted. processes: in parallel processes; here: one by one in this process; beam: by an "
        "Apache Beam pipeline.",
        choices=("processes", "here", "beam"),
    )
    beam_options: str = setting(
        "", "Options of the Beam pipeline, for example '--runner=FlinkRunner --flink_master=HOST:8081'."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_options and self.runner != "beam":
            raise InputError(f"--beam_options: expected --runner=beam with it, got --runner={self.runner}")
