"""Groups of settings of servers, their clients and the page."""

import ipaddress
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, required, setting
from kits_tf.config.inference import InferenceSettings
from kits_tf.config.shared import STARTER

# Names of a machine by which no other machine can reach it; `is_this_machine` knows others.
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_MB = 1_000_000
# Where `make demo` puts the real scan that it fetches, in the environment that it makes.
_DEMO_SCAN = Path(sys.prefix) / "example" / "example_ct.nii.gz"
# Without brackets gRPC takes ::1:8500 for an address, and its own port.
_ADDRESS = re.compile(r"(?:\[[^][/]+\]|[^][/:]+):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """Export"""

    run_dir: str = setting(
        STARTER,
        "Folder of a training run or of its folds, or several, separated by commas, to average. starter: the network "
        "that comes with the package (docs/starter.md).",
        is_path=True,
    )
    export_dir: str = required("Folder of the model's versions; the export becomes the next free number.")
    records_dir: str | None = setting(
        None,
        "Folder of the run's records, for --calibrate. Default: the folder that the run was trained on, or one beside "
        "the run.",
    )
    serving_precision: str = setting(
        "float32",
        "Precision of the network: float32 for CPUs; mixed_bfloat16 or mixed_float16 for GPUs, both slow on a CPU.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    calibrate: bool = setting(
        True,
        "Fits the temperature of the probabilities on the validation cases of the run's records, in one pass. "
        "With --nocalibrate, or without validation cases, the run's own temperature is used, if it has one. Averages "
        "of runs have none.",
    )
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings(Settings):
    """Server"""

    server: str = setting(
        "", "HOST:PORT of the gRPC server, TensorFlow Serving or kits_tf.serve; the port is usually 8500."
    )
    model_name: str = setting("kits", "The server's name for the model.")
    model_version: int | None = setting(None, "Version to use. Default: the server's choice.", minimum=0)
    model_label: str = setting("", "Label of the version to use, for example canary.")
    deadline_s: float = setting(600.0, "Longest time that a request may take, including transfer, in seconds.", above=0)
    attempts: int = setting(
        5, "Attempts to reach a server that does not answer, with longer and longer waits in between.", minimum=1
    )
    tls: bool = setting(False, "Encrypts the connection.")
    ca_file: str = setting("", "PEM file of certificate authorities to trust. Default: the system's.")
    token_file: str = setting(
        "", "File with a token to send. Default: the environment variable KITS_TF_TOKEN, if it is set."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        match = _ADDRESS.fullmatch(self.server)
        if self.server and (match is None or not 0 < int(match[1]) < 65536):
            scheme, mark, rest = self.server.rpartition("://")
            advice = f": leave out {scheme}{mark}" if _ADDRESS.fullmatch(rest.rstrip("/")) and mark else ""
            raise InputError(f"--server: expected HOST:PORT, or [ADDRESS]:PORT of IPv6, got {self.server}{advice}")
        if self.ca_file and not self.tls:
            raise InputError("--ca_file: expected --tls with it")
        if self.model_version is not None and self.model_label:
            raise InputError("expected --model_version or --model_label, got both")


@dataclass(frozen=True, kw_only=True)
class PageSettings(Settings):
    """Page"""

    max_scan_mb: int = setting(2000, "Largest scan that may be dropped, in MB of its files as uploaded.", minimum=1)
    max_scans: int = setting(20, "Scans that a user may have on the page at a time.", minimum=1)
    keep_hours: float = setting(12.0, "Hours after which the scans of an inactive user are deleted.", above=0)
    example: str = setting(
        "",
        "Scan (NIfTI) that the page offers for a first try. Default: the scan that make demo downloaded, if any.",
        is_path=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.example and not (self.example.endswith((".nii", ".nii.gz")) and Path(self.example).is_file()):
            raise InputError(f"--example={self.example}: expected a NIfTI file, found none")

    @property
    def example_scan(self) -> Path | None:
        """File of the scan for a first try; None if there is none."""
        scan = Path(self.example) if self.example else _DEMO_SCAN
        return scan if scan.is_file() else None

    @property
    def max_scan_bytes(self) -> int:
        """Bytes of --max_scan_mb."""
        return self.max_scan_mb * _MB


@dataclass(frozen=True, kw_only=True)
class ServerSettings(Settings):
    """A server of exported models"""

    export_dir: str = setting(
        "",
        "Folder of the model's versions; new versions are loaded when they appear, and the newest is served. Default: "
        "the starter network, as model kits.",
        is_path=True,
    )
    model_name: str = setting("", "Name of the model for clients. Default: the folder's name.")
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for all, with --token_file for protection.")
    grpc_port: int = setting(8500, "Port of gRPC; 0 for any free port.", minimum=0, maximum=65535)
    rest_port: int = setting(8501, "Port of REST, health and metrics; 0 for any free port.", minimum=0, maximum=65535)
    queue: int = setting(8, "Requests that may wait while one is computed; more are refused.", minimum=0)
    max_message_mb: int = setting(600, "Largest request over gRPC in MB, 2 bytes per voxel.", minimum=1, maximum=2047)
    max_rest_mb: int = setting(64, "Largest request over REST in MB; JSON takes 2 to 6 bytes per voxel.", minimum=1)
    receive_s: float = setting(120.0, "Longest time that a client may take to send its request, in seconds.", above=0)
    poll_s: float = setting(5.0, "Seconds between two checks of the folder for new versions.", above=0)
    grace_s: float = setting(
        30.0, "Seconds that running requests have to finish after the server is asked to stop.", minimum=0
    )
    token_file: str = setting("", "File with a token that clients must send.")
    tls_cert: str = setting("", "PEM file of the server's certificate; with --tls_key.", is_path=True)
    tls_key: str = setting("", "PEM file of the certificate's key.", is_path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tls(self.tls_cert, self.tls_key)
        if self.grpc_port == self.rest_port != 0:
            raise InputError(f"--rest_port: expected another port than --grpc_port, got {self.rest_port} for both")

    @property
    def max_message_bytes(self) -> int:
        """Bytes of --max_message_mb."""
        return self.max_message_mb * _MB

    @property
    def max_rest_bytes(self) -> int:
        """Bytes of --max_rest_mb."""
        return self.max_rest_mb * _MB


def check_tls(cert: str, key: str) -> None:
    """Raises InputError if only one of certificate and key is given."""
    if bool(cert) != bool(key):
        raise InputError("expected --tls_cert and --tls_key, got one of them")


def is_this_machine(host: str) -> bool:
    """Returns whether a host is a name or an address by which a machine reaches itself, and no other one."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_host(host: str, token_flag: str) -> None:
    """Raises InputError if a page without a token would listen where other machines can reach it.

    Args:
        host: address to listen on.
        token_flag: flag that would give the page a token, for the message.
    """
    if not is_this_machine(host):
        raise InputError(f"--host={host}: expected {token_flag} with it, as others can reach the page")
