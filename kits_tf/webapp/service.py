"""The page behind any server: the folder that scans lie in, what segments them, and what a browser may ask."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from starlette.routing import Route

from kits_tf.config import DicomSettings, PageSettings
from kits_tf.config.serving import THIS_MACHINE
from kits_tf.inference.model import Model
from kits_tf.webapp.routes import Page
from kits_tf.webapp.studies import Sessions
from kits_tf.webapp.worker import Worker

_MB, _HOUR_S = 1_000_000, 3600.0
# How often unused sessions are looked for, and how long the window that is computed may still take at the end.
_LOOK_S, _GRACE_S = 60.0, 5.0


class PageService:
    """The page, in a folder of its own, which is gone at the end of the block that this is entered for.

    Args:
        settings: of the page.
        dicom: how to read DICOM.
        host: the address that the server listens on.
        token: that a user must give; "" for none.
        secure: whether connections are encrypted.
    """

    def __init__(self, settings: PageSettings, dicom: DicomSettings, *, host: str, token: str, secure: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kits_tf-page-"))
        self._sessions = Sessions(self._folder, settings.max_scans, settings.keep_hours * _HOUR_S)
        self._worker = Worker(dicom)
        most_bytes = settings.max_scan_mb * _MB
        # By another name than its own, some web site means to reach a page that only this machine may.
        hosts = THIS_MACHINE if host in THIS_MACHINE else ()
        page = Page(self._sessions, self._worker, most_bytes=most_bytes, hosts=hosts, token=token, secure=secure)
        self.routes: list[Route] = page.routes
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, name="forgetting", daemon=True)

    def tell(self, done: int, total: int) -> None:
        """Is told of windows, as `Worker.tell`."""
        self._worker.tell(done, total)

    def start(self, find_model: Callable[[], Model]) -> None:
        """Begins to segment, by the model that there is at each time."""
        self._worker.start(find_model)
        self._looking.start()

    def __enter__(self) -> "PageService":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._worker.stop(_GRACE_S)
        self._sessions.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self._sessions.forget_unused()
