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
        "Axes along which mirror images are averaged, for example x or zyx; each doubles the time. Along x, right and "
        "left kidney are swapped back. off: none. Default: the axes of the run's own flags, or none.",
        choices=FLIP_CHOICES,
    )
    coarse_model: str = setting(
        "",
        "First stage of a cascade: a run whose network, on a coarser grid, finds the box around the kidneys that the "
        "model then sees; starter/coarse: the starter network's own. off: the model sees the whole body. Default: the "
        "coarse model of the run, or off.",
        is_path=True,
    )
    coarse_margin_mm: float = setting(20.0, "Margin around the voxels that the coarse model labels, in mm.", minimum=0)
    postprocess: str = setting(
        "",
        "Steps applied to masks, for example kidneys,specks:0.5,fill. The steps are crf, kidneys, specks:ML, fill, "
        "touch, no_tumors, open:MM, close:MM and sides (docs/postprocessing.md). off: none. Default: the steps that "
        "evaluate --postprocess=auto chose for the run, or the steps of the run's own flags.",
    )


@dataclass(frozen=True, kw_only=True)
class ScanSettings(Settings):
    """Scans"""

    accept_intensities: bool = setting(
        False,
        "Also segments scans whose voxels cannot be Hounsfield units: an MR image, a windowed scan, a lost offset. The "
        "mask keeps a warning.",
    )


@dataclass(frozen=True, kw_only=True)
class DicomSettings(Settings):
    """DICOM"""

    series: str = setting("", "Part of the UID or of the description of the series to use, if there are several.")
    irregular_slices: str = setting(
        "refuse",
        "Slices that are missing, unevenly spaced or tilted. accept: interpolate them to even spacing and remove the "
        "tilt.",
        choices=("refuse", "accept"),
    )
