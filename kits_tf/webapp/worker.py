"""From uploaded files to masks: one scan after the other, as the one that is computed takes all devices."""

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace

from kits_tf.analysis.mask_files import open_mask
from kits_tf.analysis.masks import read_to_measure
from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.memory import return_freed_memory
from kits_tf.config import DicomSettings, MaskSchemeSettings
from kits_tf.ct.dicom import Series, SeveralSeriesError
from kits_tf.ct.dicom_files import text_of
from kits_tf.ct.dicom_seg import segmentation_problem
from kits_tf.ct.geometry import size_text
from kits_tf.ct.hounsfield import IntensityError
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import LoadedScan, find_scans
from kits_tf.ct.volume import Volume, write_stored
from kits_tf.inference.batch_prediction import labels_as
from kits_tf.inference.identity import with_labels
from kits_tf.inference.model import Model
from kits_tf.webapp import findings
from kits_tf.webapp.findings import Reference
from kits_tf.webapp.studies import UNNAMED, CancelledError, RefusedError, State, Study
from kits_tf.webapp.uploads import display_name, in_words_of_user, source_of

logger = logging.getLogger(__name__)


class Worker:
    """Segments studies in the order in which they come, in a thread of its own.

    Args:
        dicom: settings for reading DICOM.
    """

    def __init__(self, dicom: DicomSettings) -> None:
        self._dicom = dicom
        self._queue: queue.Queue[Study | None] = queue.Queue()
        # Of the two below, which the threads of requests read.
        self._lock = threading.Lock()
        self._current: Study | None = None
        self._waiting: list[Study] = []
        self._thread: threading.Thread | None = None
        self._find_model: Callable[[], Model] | None = None

    def start(self, find_model: Callable[[], Model]) -> None:
        """Begins to work.

        Args:
            find_model: function that returns the model to use, which should report its windows to `report`; called for
                each study.
        """
        self._find_model = find_model
        self._thread = threading.Thread(target=self._work, name="segmenting", daemon=True)
        self._thread.start()

    def model(self) -> Model:
        """Returns the model that the next study will be segmented by.

        Raises:
            RefusedError: there is none yet, or it cannot be reached.
        """
        try:
            if self._find_model:
                return self._find_model()
        except UnavailableError as error:
            raise RefusedError(503, f"The model cannot be reached: {error}") from None
        raise RefusedError(503, "The model is still being loaded.")

    def stop(self, wait_s: float) -> None:
        """Cancels all studies that wait or are computed, and waits for the thread to end."""
        with self._lock:
            studies = [*self._waiting, *([self._current] if self._current else [])]
        for study in studies:
            study.cancel()
        self._queue.put(None)
        if self._thread:
            self._thread.join(wait_s)

    def submit(self, study: Study, series: str = "", accepts_intensities: bool = False) -> None:
        """Takes a study whose files are complete, or whose user has chosen.

        Raises:
            RefusedError: it is queued or segmented already.
        """
        study.enqueue(series, accepts_intensities)
        with self._lock:
            self._waiting.append(study)
        self._queue.put(study)

    def place_of(self, study: Study) -> int:
        """Returns how many studies come before one that waits."""
        with self._lock:
            waiting = [each for each in self._waiting if each.state is State.QUEUED]
            return (waiting.index(study) if study in waiting else 0) + (self._current is not None)

    def report(self, done: int, total: int) -> None:
        """Notes how many windows of the study that is computed are done.

        Raises:
            CancelledError: nobody needs the rest.
        """
        study = self._current
        if study is None:
            return
        study.windows = (int(done), int(total))
        if study.state is State.CANCELLED:
            raise CancelledError

    def _work(self) -> None:
        while study := self._queue.get():
            with self._lock:
                self._waiting.remove(study)
                self._current = study
            try:
                _segment(study, self.model, self._dicom)
            except CancelledError:
                pass
            except SeveralSeriesError as error:
                study.offer(tuple((series.uid or series.description, _description(series)) for series in error.series))
            except IntensityError as error:
                study.refuse(error.reason)
            except Exception as error:  # whatever it is, the next scan is to be computed
                if not study.is_final:  # the files of a cancelled study are gone, which fails in many ways
                    study.fail(_reason(error))
            finally:
                with self._lock:
                    self._current = None
                if study.state is State.CANCELLED:
                    shutil.rmtree(study.folder, ignore_errors=True)
                return_freed_memory()


def read_upload(study: Study, dicom: DicomSettings) -> LoadedScan:
    """Returns the scan of a study as it came.

    Raises:
        InputError: it cannot be read, or is no scan.
        SeveralSeriesError: there are several series, and none was chosen.
        RefusedError: there is no file, there are several scans, or the only file cannot be one.
    """
    source = source_of(study)
    try:
        return find_scans([str(source)], replace(dicom, series=study.series or dicom.series))[0].read()
    except SeveralSeriesError:
        raise
    except InputError as error:
        raise InputError(in_words_of_user(study, error)) from None


def _segment(study: Study, find_model: Callable[[], Model], dicom: DicomSettings) -> None:
    study.advance(State.READING)
    model, scan = find_model(), read_upload(study, dicom)
    model = replace(model, accept_intensities=model.accept_intensities or study.accepts_intensities)
    _describe(study, scan)
    study.reference = _reference(study, scan.volume)
    study.advance(State.SEGMENTING)
    volume, segmentation = scan.volume, model.segmentation(scan.volume)
    labels, classes = labels_as("laterality", segmentation.labels, volume, model.scheme)
    metadata = MaskMetadata(
        classes=classes,
        scan=volume.digest(),
        model=with_labels(model.identity, "laterality"),
        warnings=segmentation.warnings,
    )
    affine, header = volume.stored.affine, volume.header
    write_stored(study.scan_path, volume.as_stored(), affine, header)
    write_stored(study.mask_path, labels, affine, header, metadata)
    confidence = dict(zip(model.scheme.classes[1:], segmentation.confidence[1:].tolist(), strict=True))
    study.findings = findings.find(study.mask_path, volume, confidence)
    study.advance(State.DONE)


def _describe(study: Study, scan: LoadedScan) -> None:
    """Notes what a scan is; one without a name gets that of its patient."""
    patient, parts = "", [size_text(scan.volume.grid)]
    if scan.series:
        header = scan.series.headers[0]
        patient = display_name(text_of(header, "PatientID"))
        parts = [f"patient {patient}" if patient else "", text_of(header, "SeriesDescription"), *parts]
        study.segmentation_problem = segmentation_problem(scan.series)
    study.is_series = scan.series is not None
    study.details = ", ".join(part for part in parts if part)
    study.name = study.name or patient or UNNAMED


def _reference(study: Study, image: Volume) -> Reference | None:
    """Returns the mask that came beside a scan, and keeps it with sides; None if none came."""
    path = next(study.reference_uploads.iterdir(), None)
    if path is None:
        return None
    try:
        # A label 3 of a mask that names none can only be a cyst there.
        mask, scheme = read_to_measure(open_mask(path, MaskSchemeSettings(cyst_as="class")), image)
    except InputError as error:
        return Reference(problem=error.reason.removeprefix(f"{path}: "))
    labels = replace(image, array=mask.array).as_stored()
    metadata = MaskMetadata(classes=scheme.classes, scan=image.digest())
    write_stored(study.reference_path, labels, image.stored.affine, image.header, metadata)
    return Reference(scheme=scheme)


def _description(series: Series) -> str:
    return f"{series.description or 'without a description'}, {len(series.files)} slices"


def _reason(error: Exception) -> str:
    """Returns why a study failed, for its user; an error of the program goes to the log."""
    if isinstance(error, UnavailableError):
        return f"The model's server does not answer: {error}"
    if isinstance(error, InputError):
        return error.reason
    if isinstance(error, RefusedError):
        return error.message
    logger.error("a scan could not be segmented", exc_info=error)
    return "This scan could not be segmented because of an error in the program; its log has the details."
