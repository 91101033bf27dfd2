"""Groups of settings for the use of a trained model: inference, and the scans that it reads."""

from dataclasses import dataclass

from kits_tf.base.settings import Settings, setting
from kits_tf.config.shared import FLIP_CHOICES


@dataclass(frozen=True, kw_only=True)
class InferenceSettings(Settings):
    """Inference"""

    overlap: float = setting(0.5, "Overlap of neighboring windows, as a share of their size.", minimum=0, below=1)
    window_weights: str = setting(
        "gaussian",
        "Weights where windows overlap. gaussian: highest in their middle; constant: the same everywhere.",
        choices=("gaussian", "constant"),
    )
    flip_axes: str = setting(
        "",
        "Axes along which mirror images are averaged, as in x or zyx: each doubles the time. Along x the kidneys' "
        "sides are swapped back. off: none. Default: those of the run's own flags, or none.",
        choices=FLIP_CHOICES,
    )
    coarse_model: str = setting(
        "",
        "A cascade: a run whose network, on a coarser grid, finds the box around the kidneys that the model then sees; "
        "starter/coarse: that of the package. off: the model sees the whole body. Default: that of the run, or off.",
        is_path=True,
    )
    coarse_margin_mm: float = setting(20.0, "Margin around what the coarse model found.", minimum=0)
    postprocess: str = setting(
        "",
        "Steps that masks go through, as in kidneys,specks:0.5,fill: crf, kidneys, specks:ML, fill, touch, "
        "no_tumors, open:MM, close:MM, sides (docs/postprocessing.md). off: none. Default: what evaluate "
        "--postprocess=auto chose for the run on its validation cases, and kept with it, or else its own flags'.",
    )


@dataclass(frozen=True, kw_only=True)
class ScanSettings(Settings):
    """Scans"""

    accept_intensities: bool = setting(
        False,
        "Also segments scans whose voxels cannot be Hounsfield units, as of an MR, a window or without their offset. "
        "The mask keeps a warning.",
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
