"""The page behind any HTTP server: the folder of its scans, the worker that segments them, and its routes."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.routing import Route

from kits_tf.config import DicomSettings, PageSettings
from kits_tf.inference.model import Model
from kits_tf.webapp.routes import Access, Page
from kits_tf.webapp.studies import Sessions
from kits_tf.webapp.worker import Worker

_HOUR_S = 3600.0
# Time between two searches for unused sessions, and time for the window that is being computed at the end.
_CLEANING_S, _GRACE_S = 60.0, 5.0


class PageService:
    """The page, with a folder of its own that is removed at the end of the `with` block.

    Args:
        settings: limits of the page, and its example.
        dicom: settings for reading DICOM.
        access: address, token and encryption of the page.

    Attributes:
        routes: routes for an HTTP server.
    """

    def __init__(self, settings: PageSettings, dicom: DicomSettings, access: Access) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kits_tf-page-"))
        self._sessions = Sessions(self._folder, settings.max_scans, settings.keep_hours * _HOUR_S)
        self._worker = Worker(dicom)
        self.routes: list[Route] = Page(self._sessions, self._worker, settings, access).routes
        self._ended = threading.Event()
        self._cleaner = threading.Thread(target=self._clean, name="unused sessions", daemon=True)

    def report(self, done: int, total: int) -> None:
        """Takes the progress of the scan that is being segmented, see `Worker.report`."""
        self._worker.report(done, total)

    def start(self, find_model: Callable[[], Model]) -> None:
        """Begins to segment; `find_model` returns the model to use, and is called for each scan."""
        self._worker.start(find_model)
        self._cleaner.start()

    def __enter__(self) -> "PageService":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._worker.stop(_GRACE_S)
        self._sessions.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _clean(self) -> None:
        while not self._ended.wait(_CLEANING_S):
            self._sessions.remove_unused()
