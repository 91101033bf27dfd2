"""Groups of settings of a trained model's use: inference, what it reads, servers."""

from dataclasses import dataclass

from kits_tf.config.shared import FLIP_CHOICES
from kits_tf.errors import InputError
from kits_tf.settings import Settings, required, setting


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
