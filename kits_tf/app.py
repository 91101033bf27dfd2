"""python -m kits_tf.app: a page on which scans are dropped, segmented, looked at, corrected and measured."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.packages import require
from kits_tf.base.progress import Report
from kits_tf.base.settings import Settings, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ConnectionSettings, DicomSettings, InferenceSettings, PageSettings, ScanSettings
from kits_tf.config.serving import check_host, check_tls
from kits_tf.config.shared import STARTER

if TYPE_CHECKING:
    from kits_tf.inference.model import Model

# How long running requests may take once the page is to end.
_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class App(Settings):
    """Offers a page in the browser: drop a scan on it to segment it, see its mask, correct it and measure it."""

    model: str = setting(
        "", "A run or an exported model, as for predict; or use --server. Default: starter.", is_path=True
    )
    host: str = setting("127.0.0.1", "Address to listen on; any but this machine's own requires --page_token_file.")
    page_port: int = setting(8080, "Port of the page; 0 for any free port.", minimum=0, maximum=65535)
    page_token_file: str = setting("", "File with a token that users must enter to open the page.")
    tls_cert: str = setting("", "PEM file of the page's certificate; with --tls_key.", is_path=True)
    tls_key: str = setting("", "PEM file of the certificate's key.", is_path=True)
    page: PageSettings = field(default_factory=PageSettings)
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    scans: ScanSettings = field(default_factory=ScanSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model and self.connection.server:
            raise InputError("expected --model or --server, got both")
        check_tls(self.tls_cert, self.tls_key)
        if not self.page_token_file:
            check_host(self.host, "--page_token_file")


def main(settings: App) -> None:
    """Offers the page until SIGTERM or Ctrl-C; then all scans that were dropped on it are removed.

    Raises:
        InputError: the extra `app` is not installed, the model cannot be loaded, or the port is taken.
        UnavailableError: the model's server does not answer.
    """
    require("app", "starlette", "uvicorn", "ipyniivue", "matplotlib", "pydicom", "highdicom", "grpc")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with serve_page(settings) as url:
        print(f"open {url} in a browser; Ctrl-C ends it and removes all scans", flush=True)
        stop.wait()
        print("stopping: all scans are removed", flush=True)


@contextlib.contextmanager
def serve_page(settings: App) -> Iterator[str]:
    """Offers the page while the block runs, and yields its address.

    Raises:
        InputError: the model cannot be loaded, or the port is taken.
        UnavailableError: the model's server does not answer.
    """
    from kits_tf.serving.credentials import read_token
    from kits_tf.serving.http_server import Endpoint, HttpServer, require_free_port
    from kits_tf.serving.versions import model_identity

    token = read_token(settings.page_token_file)
    if not settings.connection.server:
        model_identity(settings.model or STARTER, settings.inference)  # which names what is missing
    require_free_port(settings.host, settings.page_port, "page_port")
    start_tensorflow()
    from starlette.applications import Starlette

    from kits_tf.webapp.routes import Access
    from kits_tf.webapp.service import PageService

    endpoint = Endpoint(
        host=settings.host,
        port=settings.page_port,
        port_flag="page_port",
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )
    access = Access(host=settings.host, token=token, is_encrypted=bool(settings.tls_cert))
    # The connection to a model on a server is closed last: until the page has ended it may be in use.
    with contextlib.ExitStack() as stack, PageService(settings.page, settings.dicom, access) as page:
        http = HttpServer(Starlette(routes=page.routes), endpoint, _GRACE_S)
        try:
            print("loading the model", flush=True)
            model = replace(
                _open_model(settings, page.report, stack), accept_intensities=settings.scans.accept_intensities
            )
            page.start(lambda: model)
            http.start()
            yield f"{http.url}/"
        finally:
            http.close()


def _open_model(settings: App, report: Report, stack: contextlib.ExitStack) -> "Model":
    """Returns the model of the page; the connection to one on a server is closed by the stack."""
    if settings.connection.server:
        from kits_tf.serving.remote_model import Client

        return stack.enter_context(Client(settings.connection)).model
    from kits_tf.serving.models import open_model

    return open_model(settings.model or STARTER, settings.inference, report=report)


COMMAND = Command(name="app", settings=App, main=main)

if __name__ == "__main__":
    COMMAND.run()
