"""Commands that hand a network to others."""

from dataclasses import dataclass, field

from kits_tf.config import shared
from kits_tf.config.inference import DicomSettings, InferenceSettings, PageSettings, ServerSettings
from kits_tf.errors import InputError
from kits_tf.settings import Settings, required, setting

# Names of a machine by which nobody else can reach it.
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


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
    page: bool = setting(False, "Offers the page of kits_tf.app too, at / on the port of REST.")
    tls_cert: str = setting("", "PEM file of the server's certificate; with --tls_key.")
    tls_key: str = setting("", "PEM file of its key.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tls(self.tls_cert, self.tls_key)
        if self.page and not self.token_file:
            _check_host(self.host, "--token_file")


@dataclass(frozen=True, kw_only=True)
class Client(Settings):
    """Segments scans on a server: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns of these."""

    output_dir: str = required("Folder to write one mask a scan to; scans whose mask is there are left out.")
    labels: str = shared.mask_labels()
    connection: ServerSettings = field(default_factory=ServerSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.connection.server:
            raise InputError("--server: expected HOST:PORT, got none")


@dataclass(frozen=True, kw_only=True)
class App(Settings):
    """Offers a page: a scan dropped on it is segmented, shown with its mask, corrected and measured, in any browser."""

    model: str = setting("", "What segments: a run or an exported model, as predict takes it. This or --server.")
    host: str = setting("127.0.0.1", "Address to listen on; any but this machine's own wants --page_token_file.")
    page_port: int = setting(8080, "Port of the page; 0 for any that is free.", minimum=0, maximum=65535)
    page_token_file: str = setting("", "File with a token that who opens the page must give.")
    tls_cert: str = setting("", "PEM file of the page's certificate; with --tls_key.")
    tls_key: str = setting("", "PEM file of its key.")
    page: PageSettings = field(default_factory=PageSettings)
    connection: ServerSettings = field(default_factory=ServerSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.model) == bool(self.connection.server):
            raise InputError("expected --model or --server, got " + ("both" if self.model else "none"))
        _check_tls(self.tls_cert, self.tls_key)
        if not self.page_token_file:
            _check_host(self.host, "--page_token_file")


def _check_tls(cert: str, key: str) -> None:
    if bool(cert) != bool(key):
        raise InputError("expected --tls_cert and --tls_key, got one of them")


def _check_host(host: str, token_flag: str) -> None:
    """Refuses a page that asks for no token where others can reach it."""
    if host not in THIS_MACHINE:
        raise InputError(f"--host={host}: expected {token_flag} with it, as others can reach the page")
