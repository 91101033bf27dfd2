"""Groups of settings of training: the network, the loss, the steps, the validation."""

from dataclasses import dataclass
from typing import Any

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, setting
from kits_tf.config import shared
from kits_tf.config.choices import LOSSES, PRESETS


def _of_preset(help_text: str, **limits: Any) -> Any:
    return setting(None, f"{help_text} Default: the preset's.", **limits)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """Network"""

    preset: str = setting(
        "record",
        "Architecture, which the flags below change. docs/network.md describes the presets.",
        choices=PRESETS,
    )
    filters: tuple[int, ...] | None = _of_preset("Filters of each level, finest first.", minimum=1)
    blocks: tuple[int, ...] | None = _of_preset(
        "Convolutions of each level of the encoder, or residual blocks of two; one number for all levels. The finest "
        "may have 0.",
        minimum=0,
    )
    decoder_convolutions: tuple[int, ...] | None = _of_preset(
        "Convolutions of each level of the decoder, finest first; one number for all levels.", minimum=1
    )
    kernels_z: tuple[int, ...] | None = _of_preset(
        "Size along z of each level's kernels, 1 or 3; along y and x it is 3. One number for all levels.",
        choices=(1, 3),
    )
    strides_z: tuple[int, ...] | None = _of_preset(
        "Stride along z from each level to the next, 1 or 2; along y and x it is 2. One number for all levels.",
        choices=(1, 2),
    )
    residual: bool | None = _of_preset("An encoder of residual blocks.")
    norm: str | None = _of_preset("Normalization.", choices=("batch", "instance", "none"))
    activation: str | None = _of_preset("Activation.", choices=("relu", "leaky_relu"))
    downsampling: str | None = _of_preset("Max pooling or strided convolution.", choices=("pool", "stride"))
    attention: bool | None = _of_preset("Attention gates in the skip connections.")
    deep_supervision: bool | None = _of_preset("Trains coarser levels of the decoder to predict the classes too.")
    dropout: float | None = _of_preset(
        "Share of the coarsest level's feature maps that is dropped in training.", minimum=0, below=1
    )
    norm_momentum: float | None = _of_preset("Momentum of batch norm's moving statistics.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """Loss"""

    loss: str = setting(
        "cross_entropy",
        "Loss to minimize; dice_cross_entropy and boundary_cross_entropy are sums.",
        choices=LOSSES,
    )
    class_weighting: str = setting(
        "inverse",
        "Class weights of the cross-entropy, by the frequency f in the training patches: 1/f, 1/sqrt(f), or all equal.",
        choices=("inverse", "square_root", "none"),
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each voxel's truth in the cross-entropy that is spread evenly over all classes.",
        minimum=0,
        below=1,
    )
    focal_gamma: float = setting(
        0.0,
        "Exponent of the factor (1 - p) ** focal_gamma of the cross-entropy, where p is the true class's probability. "
        "0: no factor.",
        minimum=0,
    )
    logit_adjustment: float = setting(
        1.0,
        "Factor of the logarithm of the class weights, which the cross-entropy adds to the logits. 1: classes are "
        "predicted as often as they occur, whatever the weights; 0: rare classes are predicted too often.",
        minimum=0,
        maximum=1,
    )
    overlap_over: str = setting(
        "batch",
        "Dice and Tversky losses: whether sums are over a whole batch, on all replicas, or over each example.",
        choices=("batch", "example"),
    )
    overlap_background: bool = setting(False, "Dice and Tversky losses: whether the background counts as a class.")
    overlap_squared: bool = setting(
        False, "Dice and Tversky losses: whether probabilities are squared in the denominator, as in V-Net."
    )
    overlap_absent: bool = setting(
        False,
        "Dice and Tversky losses: whether a class without voxels counts too, as in MONAI and nnU-Net; its loss is 1 "
        "unless almost none of it is predicted.",
    )
    tversky_alpha: float = setting(0.3, "tversky: weight of false positives.", minimum=0)
    tversky_beta: float = setting(0.7, "tversky: weight of false negatives.", above=0)
    boundary_reach: int = setting(
        5, "boundary_cross_entropy: voxels from the boundary beyond which distance makes no difference.", minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings(Settings):
    """Optimization"""

    initial_weights: str = setting(
        "",
        "A run of the same network and classes, whose best weights the new run begins with; starter: the network that "
        "comes with the package, for configs/starter.flags. Empty: random weights.",
        is_path=True,
    )
    epochs: int = setting(50, "Passes over the training cases.", minimum=1)
    optimizer: str = setting(
        "adam", "adam (AdamW with --weight_decay), or sgd with Nesterov's momentum.", choices=("adam", "sgd")
    )
    learning_rate: float = setting(1e-3, "Highest step size.", above=0)
    learning_rate_schedule: str = setting(
        "cosine",
        "How the learning rate falls from the end of the warm-up to the end of the run: along half a cosine, as "
        "(1 - p)^0.9 of the progress p, or not at all.",
        choices=("cosine", "polynomial", "constant"),
    )
    learning_rate_rule: str = setting(
        "fixed",
        "How the learning rate grows with the number of replicas, whose batches add up: not at all, in proportion to "
        "it, or with its square root.",
        choices=("fixed", "linear", "square_root"),
    )
    warmup_epochs: float = setting(0.0, "Epochs during which the learning rate rises from 0.", minimum=0)
    momentum: float = setting(0.99, "Momentum of sgd.", minimum=0, below=1)
    weight_decay: float = setting(
        0.0,
        "Share of each kernel that a step subtracts, times the learning rate; biases and norms do not decay.",
        minimum=0,
    )
    clip_norm: float = setting(
        0.0, "Largest norm of all gradients together; a larger norm is scaled down to it. 0: no limit.", minimum=0
    )
    batch_size: int = shared.batch_size()
    accumulated_batches: int = setting(
        1, "Consecutive batches whose gradients are added to one step, with the memory of a single batch.", minimum=1
    )
    average_decay: float = setting(
        0.0,
        "Decay of a moving average of the weights, which is then validated, kept and exported. 0: no average.",
        minimum=0,
        below=1,
    )
    rematerialize: bool = shared.rematerialize()
    precision: str = setting(
        "auto",
        "Precision of convolutions and volumes; weights are float32. auto: float32 on a CPU; on GPUs mixed_bfloat16, "
        "or mixed_float16 with scaled losses if they do not support bfloat16.",
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
        4, "Fixed patches of each validation case, scored in every epoch.", minimum=1
    )
    whole_cases_every: int = setting(
        0,
        "Epochs between validations on whole cases, on their own grids; the best epoch is then one of these. 0: "
        "validates on patches only.",
        minimum=0,
    )
    patience: int = setting(0, "Epochs without a new best one after which training stops. 0: never.", minimum=0)
