"""Settings that belong together, as the stages of the line take them."""

from dataclasses import dataclass
from typing import Any

from kits_tf.config import shared
from kits_tf.config.shared import FLIP_CHOICES, KERNEL_CHOICES
from kits_tf.errors import InputError
from kits_tf.settings import Settings, format_value, setting


def _chance(default: float, of_what: str) -> Any:
    return setting(default, f"Chance of {of_what}.", minimum=0, maximum=1)


def _range(default: tuple[float, float], help_text: str, **limits: Any) -> Any:
    return setting(default, help_text, is_range=True, **({"minimum": 0} | limits))


# Cubic B-splines fold space once a control point may move further than their distance over 2.48 (Choi and Lee 2000,
# "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical Models 62(6)).
ELASTIC_LIMIT = 0.4


@dataclass(frozen=True, kw_only=True)
class GridSettings(Settings):
    """Training grid and labels"""

    spacing_zyx_mm: tuple[float, float, float] = setting(
        (1.6, 1.2, 1.2), "Voxel size that every scan is resampled to, in mm.", above=0
    )
    image_kernel: str = setting(
        "cubic_fit", "Interpolation of scans; _fit: anti-aliased by least squares.", choices=KERNEL_CHOICES
    )
    label_kernel: str = setting(
        "cubic_fit", "Interpolation of labels, class by class; the largest wins.", choices=KERNEL_CHOICES
    )
    label_scheme: str = shared.label_scheme()
    cyst_as: str = shared.cyst_as()
    crop: str = setting("none", "body: records hold the box around the body, not the air.", choices=("none", "body"))


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Settings):
    """Splits"""

    test_cases: str = setting("180-209", "Numbers of the cases held out for the final test, as in 10-12,15.")
    validation_fraction: float = setting(
        0.1, "Share of the other cases that validates, drawn by --seed; at least one case.", above=0, below=1
    )
    exclude_cases: str = setting("", "Numbers of the cases to leave out, as in 15,23.")
    splits_file: str = setting(
        "", 'JSON that lists the splits outright: {"train": [case ids], "validation": [...], "test": [...]}.'
    )
    num_folds: int = setting(
        5, "Parts of the training and validation cases for train's --fold, at most one a case; 0: none.", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class RecordsSettings(Settings):
    """Records, as convert made them; a value that is given must be theirs"""

    spacing_zyx_mm: tuple[float, float, float] | None = setting(None, "Voxel size of the records in mm.")
    image_kernel: str | None = setting(None, "Interpolation of their scans.")
    label_kernel: str | None = setting(None, "Interpolation of their labels.")
    label_scheme: str | None = setting(None, "Scheme of their labels.")
    cyst_as: str | None = setting(None, "What cysts are in them.")
    crop: str | None = setting(None, "What they were cropped to.")
    test_cases: str | None = setting(None, "Numbers of the cases they hold out.")
    validation_fraction: float | None = setting(None, "Share of the other cases that validates.")
    exclude_cases: str | None = setting(None, "Numbers of the cases they leave out.")
    splits_file: str | None = setting(None, "JSON that their splits come from.")
    num_folds: int | None = setting(None, "Number of their folds.")


@dataclass(frozen=True, kw_only=True)
class IntensitySettings(Settings):
    """Normalization on the device: (clip(HU) - mean) / std"""

    window_hu: tuple[float, float] = setting((-79.0, 304.0), "Hounsfield units are clipped to this range.")
    mean_hu: float = setting(101.0, "Subtracted from the clipped Hounsfield units.")
    std_hu: float = setting(76.9, "The difference is divided by this.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.window_hu[0] < self.window_hu[1]:
            raise InputError(f"--window_hu: expected a lower and a higher value, got {format_value(self.window_hu)}")


@dataclass(frozen=True, kw_only=True)
class PatchSettings(Settings):
    """Patches"""

    patch_size_zyx: tuple[int, int, int] = shared.patch_size()
    patches_per_case: int = setting(4, "Patches read from each training case in an epoch.", minimum=1)
    foreground_fraction: float = setting(
        0.67, "Share of patches around a voxel of a foreground class, classes equally often.", minimum=0, maximum=1
    )
    crop_shift_fraction: float = setting(
        0.1, "Largest random shift of a training patch, as a share of its size.", minimum=0, maximum=1
    )
    shuffle_patches: int = setting(32, "Patches held in memory to be shuffled.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class InputSettings(Settings):
    """Input pipeline"""

    patch_order: str = setting(
        "fast",
        "fixed: batches in the same order whenever the seed is the same, whatever the machine. fast: the same patches, "
        "each as soon as it is ready.",
        choices=("fast", "fixed"),
    )
    cases_at_once: int = setting(2, "Cases in memory at once, whose patches are mixed.", minimum=1)
    cache: str = setting(
        "",
        "Where records stay once they were read: memory, or a folder on a fast disk. Empty: nowhere.",
    )


@dataclass(frozen=True, kw_only=True)
class WarpSettings(Settings):
    """Augmentation in space, on the device, training only"""

    rotation_probability: float = _chance(0.2, "a rotation")
    rotation_zyx_degrees: tuple[float, float, float] = setting(
        (30.0, 15.0, 15.0), "Largest rotation about the z, y and x axes either way.", minimum=0, maximum=90
    )
    scale_probability: float = _chance(0.2, "a magnification")
    scale_range: tuple[float, float] = _range((0.7, 1.4), "Smallest and largest magnification.", above=0)
    axis_scale_probability: float = _chance(0.0, "a magnification of each axis by itself, on top of the other")
    axis_scale_range: tuple[float, float] = _range((0.9, 1.1), "Smallest and largest one of an axis.", above=0)
    flip_zyx_probability: tuple[float, float, float] = setting(
        (0.0, 0.0, 0.5), "Chance of a mirror image along z, y, x; along x, right and left swap.", minimum=0, maximum=1
    )
    elastic_probability: float = _chance(0.0, "an elastic deformation")
    elastic_mm: float = setting(8.0, "Largest displacement of a control point along each axis.", minimum=0)
    elastic_spacing_mm: float = setting(40.0, "Distance of control points.", above=0)
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
    brightness_probability: float = _chance(0.15, "another brightness")
    brightness_range: tuple[float, float] = _range((0.75, 1.25), "Smallest and largest factor.", above=0)
    contrast_probability: float = _chance(0.15, "another contrast")
    contrast_range: tuple[float, float] = _range((0.75, 1.25), "Smallest and largest factor about the mean.", above=0)
    low_resolution_probability: float = _chance(0.25, "simulated low resolution")
    low_resolution_range: tuple[float, float] = _range(
        (0.5, 1.0), "Smallest and largest share of the voxels along each axis that is kept.", above=0, maximum=1
    )
    gamma_probability: float = _chance(0.3, "gamma")
    inverted_gamma_probability: float = _chance(0.1, "gamma of the negative")
    gamma_range: tuple[float, float] = _range((0.7, 1.5), "Smallest and largest exponent.", above=0)
    random_convolution_probability: float = _chance(
        0.0, "random convolutions, which give tissues other grays and textures, to learn for other scanners"
    )


def _of_preset(help_text: str, **limits: Any) -> Any:
    return setting(None, f"{help_text} Default: the preset's.", **limits)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """Network"""

    preset: str = setting(
        "record",
        "Which architecture; the flags below change it. docs/network.md describes them.",
        choices=("record", "small", "mlperf", "winner", "resenc_m"),
    )
    filters: tuple[int, ...] | None = _of_preset("Filters of each level, finest first.", minimum=1)
    blocks: tuple[int, ...] | None = _of_preset(
        "Convolutions of each level of the encoder, or residual blocks of two; one number for all levels. The finest "
        "may have 0.",
        minimum=0,
    )
    decoder_convolutions: tuple[int, ...] | None = _of_preset(
        "Convolutions of each level of the decoder, finest first; one number for all.", minimum=1
    )
    kernels_z: tuple[int, ...] | None = _of_preset(
        "Size along z of each level's kernels, which are 3 along y and x: 1 or 3; one number for all levels.",
        choices=(1, 3),
    )
    strides_z: tuple[int, ...] | None = _of_preset(
        "Stride along z from each level to the next, which is 2 along y and x: 1 or 2; one number for all.",
        choices=(1, 2),
    )
    residual: bool | None = _of_preset("An encoder of residual blocks.")
    norm: str | None = _of_preset("Normalization.", choices=("batch", "instance", "group", "none"))
    activation: str | None = _of_preset("Activation.", choices=("relu", "leaky_relu", "elu", "silu"))
    downsampling: str | None = _of_preset("Max pooling or strided convolution.", choices=("pool", "stride"))
    upsampling: str | None = _of_preset(
        "Transposed convolution or nearest neighbor.", choices=("transposed", "nearest")
    )
    attention: bool | None = _of_preset("Attention gates in the skip connections.")
    deep_supervision: bool | None = _of_preset("Coarser levels of the decoder are trained to find the classes too.")
    dropout: float | None = _of_preset("Share of feature maps dropped in training.", minimum=0, below=1)
    norm_momentum: float | None = _of_preset("Momentum of batch norm's moving statistics.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """Loss"""

    loss: str = setting(
        "cross_entropy",
        "What is minimized; dice_cross_entropy and boundary_cross_entropy are sums.",
        choices=(
            "cross_entropy",
            "dice",
            "dice_cross_entropy",
            "generalized_dice",
            "tversky",
            "focal_tversky",
            "boundary_cross_entropy",
        ),
    )
    class_weighting: str = setting(
        "inverse",
        "Weights of the cross-entropy by class frequency f in the training cases: 1/f, 1/sqrt(f), 1/f among cases that "
        "have the class, Cui's effective number, or all equal.",
        choices=("inverse", "square_root", "median_frequency", "effective_number", "none"),
    )
    effective_number_beta: float = setting(
        1 - 1e-6, "Of effective_number: near 1 as inverse, 0 as none.", minimum=0, below=1
    )
    label_smoothing: float = setting(
        0.0, "Share of each voxel's truth in the cross-entropy that all classes get alike.", minimum=0, below=1
    )
    focal_gamma: float = setting(
        0.0,
        "The cross-entropy is multiplied by (1 - p) ** this, p the true class's probability; 0: as it is.",
        minimum=0,
    )
    logit_adjustment: float = setting(
        0.0,
        "The cross-entropy is taken of logits plus this times the logarithm of the class weights. 1: what the network "
        "finds is as frequent as it truly is, whatever the weights; 0: rare classes are found too often.",
        minimum=0,
        maximum=1,
    )
    overlap_over: str = setting(
        "batch",
        "Dice and Tversky losses: of all voxels of a batch, over all replicas, or of each example.",
        choices=("batch", "example"),
    )
    overlap_background: bool = setting(False, "Dice and Tversky losses: whether the background counts as a class.")
    overlap_squared: bool = setting(
        False, "Dice and Tversky losses: whether probabilities are squared in the denominator, as in V-Net's."
    )
    overlap_absent: bool = setting(
        False,
        "Dice and Tversky losses: whether a class without voxels counts too, as in MONAI's and nnU-Net's; its loss "
        "is 1 but where all of it is next to 0.",
    )
    tversky_alpha: float = setting(0.3, "Tversky losses: weight of false positives.", minimum=0)
    tversky_beta: float = setting(0.7, "Tversky losses: weight of false negatives.", above=0)
    focal_tversky_exponent: float = setting(
        0.75, "focal_tversky: exponent of what is missing to 1; below 1, classes found badly count more.", above=0
    )
    boundary_reach: int = setting(
        5, "boundary_cross_entropy: voxels from the boundary beyond which distance makes no difference.", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings(Settings):
    """Optimization"""

    epochs: int = setting(50, "Passes over the training cases.", minimum=1)
    optimizer: str = setting(
        "adam", "adam, with --weight_decay AdamW; or sgd, with Nesterov's momentum.", choices=("adam", "sgd")
    )
    learning_rate: float = setting(1e-3, "Highest step size.", above=0)
    learning_rate_schedule: str = setting(
        "constant",
        "How it falls from the end of warm-up to that of the run: not at all, as half a cosine, or as (1 - p)^0.9.",
        choices=("constant", "cosine", "polynomial"),
    )
    learning_rate_rule: str = setting(
        "fixed",
        "How it grows with the replicas, whose batches are larger together: not at all, as their number, or its square "
        "root.",
        choices=("fixed", "linear", "square_root"),
    )
    warmup_epochs: float = setting(0.0, "Epochs in which it rises from 0.", minimum=0)
    momentum: float = setting(0.99, "Of sgd.", minimum=0, below=1)
    weight_decay: float = setting(
        0.0,
        "Share of each kernel that a step takes away, times the learning rate; biases and norms are spared.",
        minimum=0,
    )
    clip_norm: float = setting(
        0.0, "Gradients of all weights together are shortened to this length. 0: not.", minimum=0
    )
    batch_size: int = shared.batch_size()
    accumulated_batches: int = setting(
        1, "Batches whose gradients make one step, one after the other: memory of one, step of all.", minimum=1
    )
    average_decay: float = setting(
        0.0,
        "Decay of a moving average of the weights, which is then what is validated, kept and exported. 0: none.",
        minimum=0,
        below=1,
    )
    rematerialize: bool = shared.rematerialize()
    precision: str = setting(
        "auto",
        "Of convolutions and volumes; weights are float32. auto: float32 on a CPU; on GPUs mixed_bfloat16, or "
        "mixed_float16 with scaled losses where they do not know bfloat16.",
        choices=("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise InputError(f"--warmup_epochs: expected fewer than --epochs={self.epochs}, got {self.warmup_epochs}")


@dataclass(frozen=True, kw_only=True)
class ValidationSettings(Settings):
    """Validation while training"""

    validation_patches_per_case: int = setting(
        4, "Fixed patches of each validation case, scored every epoch.", minimum=1
    )
    whole_cases_every: int = setting(
        0,
        "Epochs from one validation on whole cases, on their own grids, to the next; the best epoch is then one of "
        "those. 0: patches alone.",
        minimum=0,
    )
    patience: int = setting(0, "Training stops when the best epoch lies this many epochs back. 0: never.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class InferenceSettings(Settings):
    """Inference"""

    overlap: float = setting(0.5, "Overlap of neighboring windows, as a share of their size.", minimum=0, below=1)
    window_weights: str = setting(
        "gaussian",
        "What counts where windows overlap. gaussian: their middle most; constant: all the same.",
        choices=("gaussian", "constant"),
    )
    flip_axes: str = setting(
        "",
        "Axes along which mirror images are averaged, as in x or zyx: each doubles the time. Along x the kidneys' "
        "sides are swapped back.",
        choices=FLIP_CHOICES,
    )
    coarse_model: str = setting(
        "",
        "A cascade: a run whose network, on a coarser grid, finds the box around the kidneys that the model then looks "
        "at. Default: the model looks at the whole body.",
    )
    coarse_margin_mm: float = setting(20.0, "Margin around what the coarse model found.", minimum=0)
    postprocess: str = setting(
        "",
        "Steps that masks go through, as in kidneys,specks:0.5,fill: crf, kidneys, specks:ML, fill, touch, open:MM, "
        "close:MM, sides (docs/postprocessing.md). off: none. Default: what evaluate --postprocess=auto has chosen for "
        "the run on its validation cases, and then keeps with it.",
    )


@dataclass(frozen=True, kw_only=True)
class DicomSettings(Settings):
    """DICOM"""

    series: str = setting("", "Part of the UID or the description of the series to take, where there are several.")
    irregular_slices: str = setting(
        "refuse",
        "Slices that are missing, unevenly spaced or tilted. accept: interpolate to even spacing, set upright.",
        choices=("refuse", "accept"),
    )


@dataclass(frozen=True, kw_only=True)
class ServerSettings(Settings):
    """Server"""

    server: str = setting(
        "", "HOST:PORT of TensorFlow Serving or of kits_tf.serve; gRPC is usually on 8500, REST on 8501."
    )
    protocol: str = setting("grpc", "What the server speaks on that port.", choices=("grpc", "rest"))
    mode: str = setting(
        "volume",
        "volume: one request a scan, all else happens on the server. patches: the scan is cut and merged here, only "
        "windows are sent, and a server puts them together with those of other clients.",
        choices=("volume", "patches"),
    )
    concurrency: int = setting(4, "Windows on their way at the same time; with --mode=patches.", minimum=1)
    model_name: str = setting("kits", "What the server calls the model.")
    model_version: int | None = setting(None, "Version to use. Default: the server's choice.", minimum=0)
    model_label: str = setting("", "Label of the version to use, as in canary.")
    deadline_s: float = setting(600.0, "Longest time that a request may take, with its way there and back.", above=0)
    attempts: int = setting(
        6, "How often a server that does not answer is tried, with longer and longer waits.", minimum=1
    )
    tls: bool = setting(False, "Encrypts the connection.")
    ca_file: str = setting("", "PEM file of who may sign for the server. Default: whom the system trusts.")
    token_file: str = setting("", "File with a token to send along. Default: the environment's KITS_TF_TOKEN, if any.")

    def __post_init__(self) -> None:
        super().__post_init__()
        host, _, port = self.server.rpartition(":")
        if self.server and (not host or not port.isdecimal() or not 0 < int(port) < 65536):
            raise InputError(f"--server: expected HOST:PORT, got {self.server}")
        if self.ca_file and not self.tls:
            raise InputError("--ca_file: expected --tls with it")
        if self.model_version is not None and self.model_label:
            raise InputError("expected --model_version or --model_label, got both")


@dataclass(frozen=True, kw_only=True)
class PageSettings(Settings):
    """Page"""

    max_scan_mb: int = setting(2000, "Largest scan that may be dropped, as the files come.", minimum=1)
    max_scans: int = setting(20, "Scans that a user may have on the page at a time.", minimum=1)
    keep_hours: float = setting(12.0, "How long scans are kept of users who do nothing any more.", above=0)
