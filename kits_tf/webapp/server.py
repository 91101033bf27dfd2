"""The page on an address, from the folder that scans lie in to the thread that answers."""

import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from starlette.applications import Starlette

from kits_tf.config import THIS_MACHINE, App
from kits_tf.inference.model import Model
from kits_tf.serving.credentials import read_token
from kits_tf.serving.server.http import HttpServer
from kits_tf.webapp.routes import Page
from kits_tf.webapp.studies import Sessions
from kits_tf.webapp.worker import Worker

_MB = 1_000_000
_HOUR_S = 3600.0
# How often unused sessions are looked for, and how long what runs may still take at the end.
_LOOK_S, _GRACE_S = 60.0, 5.0


class PageServer:
    """The page, from `start` to the end of the block that it is entered for.

    Args:
        settings: of the page.

    Raises:
        InputError: the port is taken, or the token cannot be read.
    """

    def __init__(self, settings: App) -> None:
        token = read_token(settings.page_token_file)
        self._folder = Path(tempfile.mkdtemp(prefix="kits_tf-page-"))
        self._sessions = Sessions(self._folder, settings.max_scans, settings.keep_hours * _HOUR_S)
        self._worker = Worker(settings.dicom)
        page = Page(
            self._sessions,
            self._worker,
            most_bytes=settings.max_scan_mb * _MB,
            hosts=THIS_MACHINE if settings.host in THIS_MACHINE else None,
            token=token,
            secure=bool(settings.tls_cert),
        )
        self._scheme = "https" if settings.tls_cert else "http"
        try:
            self._http = HttpServer(
                Starlette(routes=page.routes),
                settings.host,
                settings.page_port,
                grace_s=_GRACE_S,
                tls_cert=settings.tls_cert,
                tls_key=settings.tls_key,
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, name="forgetting", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{self._scheme}://{self._http.address}/"

    def tell(self, done: int, total: int) -> None:
        """Is told of windows, by a model that can."""
        self._worker.tell(done, total)

    def start(self, model: Model) -> None:
        """Begins to answer and to segment."""
        self._worker.start(lambda: model)
        self._http.start()
        self._looking.start()

    def __enter__(self) -> "PageServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._http.close()
        self._worker.stop(_GRACE_S)
        self._sessions.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self._sessions.forget_unused()
