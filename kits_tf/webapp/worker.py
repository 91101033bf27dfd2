"""From uploaded files to masks: one scan after the other, as all devices belong to the one that is computed."""

import queue
import shutil
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.memory import return_freed_memory
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom import Series, SeveralSeriesError
from kits_tf.ct.scans import Loaded, find_scans
from kits_tf.ct.volume import write_stored
from kits_tf.inference.batch_prediction import labels_as
from kits_tf.inference.model import Model
from kits_tf.webapp.outcome import outcome_of
from kits_tf.webapp.studies import RefusedError, State, Study
from kits_tf.webapp.uploads import source_of


class CancelledError(Exception):
    """The study that is computed is not wanted any more."""


class Worker:
    """Segments studies in the order in which they come.

    Args:
        dicom: how to read DICOM.
    """

    def __init__(self, dicom: DicomSettings) -> None:
        self._dicom = dicom
        self._queue: queue.Queue[Study | None] = queue.Queue()
        self._current: Study | None = None
        self._waiting: list[Study] = []
        self._thread: threading.Thread | None = None

    def start(self, find_model: Callable[[], Model]) -> None:
        """Begins to work, by the model that there is at each time, which tells `tell` of its windows if it can."""
        self._thread = threading.Thread(target=self._work, args=(find_model,), name="segmenting", daemon=True)
        self._thread.start()

    def stop(self, wait_s: float) -> None:
        """Gives up what is computed, and all that waits."""
        for study in [*self._waiting, *([self._current] if self._current else [])]:
            study.cancel()
        self._queue.put(None)
        if self._thread:
            self._thread.join(wait_s)

    def submit(self, study: Study) -> None:
        """Takes a study whose files are all there, or one whose series was chosen."""
        study.state = State.QUEUED
        self._waiting.append(study)
        self._queue.put(study)

    def place_of(self, study: Study) -> int:
        """Returns how many studies come before one that waits."""
        waiting = [each for each in self._waiting if each.state is State.QUEUED]
        return (waiting.index(study) if study in waiting else 0) + (self._current is not None)

    def tell(self, done: int, total: int) -> None:
        """Is told of the windows that are done.

        Raises:
            CancelledError: there need not be any more.
        """
        study = self._current
        if study is None:
            return
        study.windows = (int(done), int(total))
        if study.state is State.CANCELLED:
            raise CancelledError

    def _work(self, find_model: Callable[[], Model]) -> None:
        while study := self._queue.get():
            self._waiting.remove(study)
            self._current = study
            try:
                if study.state is State.QUEUED:
                    _segment(study, find_model(), self._dicom)
            except SeveralSeriesError as error:
                study.choices = tuple((series.uid or series.description, _words(series)) for series in error.series)
                study.state = State.CHOOSING if study.state is State.READING else study.state
            except Exception as error:  # whatever it is, the next scan is to be computed
                _fail(study, error)
            finally:
                self._current = None
                if study.state is State.CANCELLED:
                    shutil.rmtree(study.folder, ignore_errors=True)
                return_freed_memory()


def read_upload(study: Study, dicom: DicomSettings) -> Loaded:
    """Returns the scan of a study as it came.

    Raises:
        InputError: it cannot be read, or is none.
        SeveralSeriesError: there is more than one.
        RefusedError: there is no file, or there are several scans.
    """
    source = source_of(study)
    try:
        return find_scans([str(source)], replace(dicom, series=study.series or dicom.series))[0].read()
    except SeveralSeriesError:
        raise
    except InputError as error:
        # Of our names for the user's files there should be nothing to read.
        raise InputError(str(error).replace(str(source), study.name)) from None


def _segment(study: Study, model: Model, dicom: DicomSettings) -> None:
    _go_on(study, State.READING)
    loaded = read_upload(study, dicom)
    study.is_series = loaded.series is not None
    _go_on(study, State.SEGMENTING)
    volume, found = loaded.volume, model.segmentation(loaded.volume)
    labels, classes = labels_as("laterality", found.labels, volume, model.scheme)
    write_stored(study.scan_path, volume.as_stored(), volume.stored.affine, volume.header)
    write_stored(study.mask_path, labels, volume.stored.affine, volume.header, classes=classes)
    confidence = dict(zip(model.scheme.classes[1:], found.confidence[1:].tolist(), strict=True))
    study.outcome = outcome_of(study.mask_path, volume, confidence, is_corrected=False)
    _go_on(study, State.DONE)


def _words(series: Series) -> str:
    return f"{series.description or 'without a description'}, {len(series.files)} slices"


def _go_on(study: Study, state: State) -> None:
    if study.state is State.CANCELLED:
        raise CancelledError
    study.state = state


def _fail(study: Study, error: Exception) -> None:
    if study.state is State.CANCELLED:
        return
    if isinstance(error, UnavailableError):
        study.message = f"The model's server does not answer: {error}"
    elif isinstance(error, (InputError, RefusedError)):
        study.message = str(error)
    else:
        traceback.print_exception(error)
        study.message = "This scan could not be segmented: an error of the program, which its log tells of."
    study.state = State.FAILED
