"""Groups of settings of servers, their clients and the page."""

from dataclasses import dataclass

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, required, setting

# Names of a machine by which nobody else can reach it.
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings(Settings):
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


@dataclass(frozen=True, kw_only=True)
class ServerSettings(Settings):
    """A server of exported models"""

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
        check_tls(self.tls_cert, self.tls_key)


def check_tls(cert: str, key: str) -> None:
    """Raises InputError if only one of certificate and key is given."""
    if bool(cert) != bool(key):
        raise InputError("expected --tls_cert and --tls_key, got one of them")


def check_host(host: str, token_flag: str) -> None:
    """Refuses a page that asks for no token where others can reach it."""
    if host not in THIS_MACHINE:
        raise InputError(f"--host={host}: expected {token_flag} with it, as others can reach the page")
