"""Every setting of every command, as frozen dataclasses: types, defaults, ranges, help.

One dataclass a command, built of groups; what a field is stands in settings.py. `commandline` makes the flags from
here and nothing else defines any. Building a dataclass in Python checks the same ranges as a command line does.
"""

from dataclasses import dataclass, field
from typing import Any

from kits_tf.errors import InputError
from kits_tf.settings import Settings, format_value, required, setting


def _data_dir() -> Any:
    return required(
        "Data set: a folder of KiTS cases (case_00000, ...), nnU-Net raw data, a Decathlon task, or a CSV file."
    )


def _mask_labels() -> Any:
    return setting(
        "model",
        "model: labels as the model has them. challenge: KiTS19's, background, kidney, tumor.",
        choices=("model", "challenge"),
    )


def _records_dir() -> Any:
    return required("Folder of TFRecord shards and their manifest.json, as convert writes it.")


def _run_dir() -> Any:
    return required("Folder of a training run: flags, manifest, versions, weights, history, evaluations.")


def _workers() -> Any:
    return setting(
        0, "Processes that read cases, none of which uses a GPU; 0: by cores and memory, 3 GB for each.", minimum=0
    )


def _seed() -> Any:
    return setting(19, "Seed of every random choice.", minimum=0)


SCHEME_CHOICES = ("laterality", "kits19")
CYST_CHOICES = ("kidney", "background", "class")
FLIP_CHOICES = ("", "z", "y", "x", "zy", "zx", "yx", "zyx")
KERNEL_CHOICES = ("nearest", "linear", "cubic", "linear_fit", "cubic_fit")


def _label_scheme() -> Any:
    return setting(
        "laterality",
        "laterality: background, right kidney, left kidney, tumor. kits19: background, kidney, tumor.",
        choices=SCHEME_CHOICES,
    )


def _scheme_of_masks() -> Any:
    return setting(
        None,
        "Scheme of the masks. Default: that of the run; what masks in --predictions_dir name, or laterality.",
        choices=SCHEME_CHOICES,
    )


def _cysts_in_masks() -> Any:
    return setting(
        None,
        "What cysts are in the masks. Default: as in the run, or what the masks name, or kidney.",
        choices=CYST_CHOICES,
    )


def _cyst_as() -> Any:
    return setting(
        "kidney",
        "What cysts are, label 3 of KiTS21 and KiTS23: kidney, as in KiTS19; background; or a class of their own.",
        choices=CYST_CHOICES,
    )


def _patch_size() -> Any:
    return setting((128, 128, 128), "Voxels of a training patch.", minimum=1)


def _batch_size() -> Any:
    return setting(2, "Patches in a batch, per replica.", minimum=1)


def _rematerialize() -> Any:
    return setting(
        False,
        "Levels of the network are computed again for gradients rather than kept: less memory, a third more work. Not "
        "with batch norm.",
    )


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
    label_scheme: str = _label_scheme()
    cyst_as: str = _cyst_as()
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

    patch_size_zyx: tuple[int, int, int] = _patch_size()
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
        "Convolutions of each level of the encoder, or residual blocks of two; one number for all levels.", minimum=1
    )
    decoder_convolutions: int | None = _of_preset("Convolutions of each level of the decoder.", minimum=1)
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
    batch_size: int = _batch_size()
    accumulated_batches: int = setting(
        1, "Batches whose gradients make one step, one after the other: memory of one, step of all.", minimum=1
    )
    average_decay: float = setting(
        0.0,
        "Decay of a moving average of the weights, which is then what is validated, kept and exported. 0: none.",
        minimum=0,
        below=1,
    )
    rematerialize: bool = _rematerialize()
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

    server: str = required(
        "HOST:PORT of TensorFlow Serving or of kits_tf.serve; gRPC is usually on 8500, REST on 8501."
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
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(f"--server: expected HOST:PORT, got {self.server}")
        if self.ca_file and not self.tls:
            raise InputError("--ca_file: expected --tls with it")
        if self.model_version is not None and self.model_label:
            raise InputError("expected --model_version or --model_label, got both")


@dataclass(frozen=True, kw_only=True)
class Phantom(Settings):
    """Writes a small data set of simulated CT in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000, case_00001, ... to.")
    num_cases: int = setting(14, "Cases to write.", minimum=1, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting(
        (4.0, 2.0, 2.0), "Voxel size in mm; KiTS19's median is about 3,0.8,0.8.", above=0
    )
    seed: int = _seed()


@dataclass(frozen=True, kw_only=True)
class Audit(Settings):
    """Looks for what is wrong or odd about a data set: a table, audit.json, and audit.html with pictures."""

    data_dir: str = _data_dir()
    output_dir: str = setting("audit", "Folder to write audit.json and audit.html to.")
    workers: int = _workers()


@dataclass(frozen=True, kw_only=True)
class Convert(Settings):
    """Converts CT volumes and their masks into TFRecords on the training grid."""

    data_dir: str = _data_dir()
    records_dir: str = _records_dir()
    seed: int = _seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    workers: int = _workers()
    runner: str = setting(
        "processes",
        "Where cases are converted: in processes of their own, here, one by one, or by an Apache Beam pipeline.",
        choices=("processes", "here", "beam"),
    )
    beam_options: str = setting(
        "", "Options of the Beam pipeline, as in '--runner=FlinkRunner --flink_master=HOST:8081'."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_options and self.runner != "beam":
            raise InputError(f"--beam_options: expected --runner=beam with it, got --runner={self.runner}")


@dataclass(frozen=True, kw_only=True)
class Restore(Settings):
    """Turns records back into NIfTI on the scans' own grids, in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000/imaging.nii.gz and segmentation.nii.gz, ... to.")
    restored_labels: str = setting(
        "challenge",
        "challenge: 0 background, 1 kidney, 2 tumor, 3 cyst, so that convert can read them; record: as they are.",
        choices=("challenge", "record"),
    )


@dataclass(frozen=True, kw_only=True)
class Summary(Settings):
    """Tells what a network is made of and what it costs, before anything is trained."""

    patch_size_zyx: tuple[int, int, int] = _patch_size()
    batch_size: int = _batch_size()
    rematerialize: bool = _rematerialize()
    label_scheme: str = _label_scheme()
    cyst_as: str = _cyst_as()
    graph_png: str = setting("", "PNG to draw the network into. Empty: none.")
    network: NetworkSettings = field(default_factory=NetworkSettings)


@dataclass(frozen=True, kw_only=True)
class Train(Settings):
    """Trains a 3-D U-Net on the records; started again on the same folder, it goes on where it stopped."""

    records_dir: str = _records_dir()
    run_dir: str = _run_dir()
    seed: int = _seed()
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
    label_scheme: str | None = _scheme_of_masks()
    cyst_as: str | None = _cysts_in_masks()
    workers: int = _workers()
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
    labels: str = _mask_labels()
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


@dataclass(frozen=True, kw_only=True)
class Export(Settings):
    """Exports a run as a SavedModel that takes scans as stored, for TensorFlow Serving."""

    run_dir: str = required("Folder of a training run, of folds, or several with commas between, which are averaged.")
    export_dir: str = required("Folder of the model's versions; the next free number is written.")
    serving_precision: str = setting(
        "float32",
        "What the network computes in. float32 for CPUs; mixed_bfloat16 or mixed_float16 for GPUs, slow on a CPU.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    calibrate: bool = setting(
        True,
        "Fits the temperature of the probabilities on the validation cases of the run's records, once over each. "
        "--nocalibrate: the one that the run has, or none. Averages of runs have none.",
    )
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True, kw_only=True)
class Client(Settings):
    """Segments scans on a server: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns of these."""

    output_dir: str = required("Folder to write one mask a scan to; scans whose mask is there are left out.")
    labels: str = _mask_labels()
    connection: ServerSettings
    dicom: DicomSettings = field(default_factory=DicomSettings)


@dataclass(frozen=True, kw_only=True)
class Serve(Settings):
    """Serves exported models over gRPC and REST as TensorFlow Serving does, for development and small sites."""

    export_dir: str = required(
        "Folder of the model's versions; new ones are loaded as they come, the newest is served."
    )
    model_name: str = setting("", "What clients call the model. Default: the folder's name.")
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for all, which --token_file should then guard.")
    grpc_port: int = setting(8500, "Port of gRPC; 0 for any that is free.", minimum=0, maximum=65535)
    rest_port: int = setting(
        8501, "Port of REST, health and metrics; 0 for any that is free.", minimum=0, maximum=65535
    )
    queue: int = setting(8, "Requests that may wait while one is computed; more are refused.", minimum=0)
    max_message_mb: int = setting(600, "Largest request over gRPC: 2 bytes a voxel.", minimum=1, maximum=2047)
    max_rest_mb: int = setting(64, "Largest request over REST, where a voxel has several letters.", minimum=1)
    receive_s: float = setting(120.0, "Longest time that a client may take to send its request.", above=0)
    poll_s: float = setting(5.0, "How often the folder is looked at for new versions.", above=0)
    grace_s: float = setting(30.0, "How long requests may still run after the server was told to stop.", minimum=0)
    token_file: str = setting("", "File with a token that clients must send.")
    tls_cert: str = setting("", "PEM file of the server's certificate; with --tls_key.")
    tls_key: str = setting("", "PEM file of its key.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InputError("expected --tls_cert and --tls_key, got one of them")


@dataclass(frozen=True, kw_only=True)
class Figures(Settings):
    """Draws predicted against true masks over the scan, one PNG a case; or one patch as training would see it.

    Cases without a true mask are drawn with the prediction alone.
    """

    data_dir: str = _data_dir()
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
    seed: int = _seed()
    grid: GridSettings = field(default_factory=GridSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    workers: int = _workers()

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
    label_scheme: str | None = _scheme_of_masks()
    cyst_as: str | None = _cysts_in_masks()
    workers: int = _workers()

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
    seed: int = _seed()
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


COMMANDS: tuple[type[Settings], ...] = (
    Phantom,
    Audit,
    Convert,
    Restore,
    Summary,
    Train,
    Evaluate,
    Predict,
    Measure,
    Submission,
    Export,
    Serve,
    Client,
    Figures,
    Report,
    Demo,
)
