"""Scans that were dropped on the page: their users, their files, and the state of each."""

import enum
import itertools
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kits_tf.webapp.findings import Findings, Reference


class State(str, enum.Enum):
    """The states of a study, in the order in which it goes through them; the last three are final.

    A study whose user chooses one of several series, or accepts intensities that were refused, goes back to QUEUED.
    """

    UPLOADING = "uploading"
    QUEUED = "queued"
    READING = "reading"
    CHOOSING = "choosing"
    REFUSED = "refused"
    SEGMENTING = "segmenting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Name of a scan that has none.
UNNAMED = "scan"
_FINAL = {State.DONE, State.FAILED, State.CANCELLED}
_WAITING_FOR_USER = {State.UPLOADING, State.CHOOSING, State.REFUSED}


class RefusedError(Exception):
    """A request of a user that is refused.

    Attributes:
        status: HTTP status.
        message: reason, in a sentence for the user.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class CancelledError(Exception):
    """The study that is being segmented was cancelled."""


@dataclass(eq=False, kw_only=True)
class Study:
    """A scan that was dropped on the page.

    The threads of requests and the worker's change it at the same time: its state changes in the methods below only,
    each of which holds a lock from its check to its change.

    Attributes:
        key: name of the study in requests.
        name: name for people and for downloads; no file on this machine has it. "" until it was read, if its user gave
            none.
        details: what the scan is, for people, as "patient A7, arterial, 112 slices"; "" until it was read.
        folder: folder of all its files.
        state: the present state.
        message: reason why it failed or was refused, for people.
        windows: (windows done, windows in all); None where the model does not report them.
        num_bytes: number of bytes that were uploaded.
        file_names: the user's names of the files in `uploads`, by the names that they have there.
        choices: series to choose from: (value for `DicomSettings.series`, text for people).
        series: the series that was chosen; "" for none.
        accepts_intensities: whether the user wants it segmented though its voxels cannot be Hounsfield units.
        is_series: whether the scan is a DICOM series; known once it was read.
        segmentation_problem: reason why there can be no DICOM SEG of a series; "" if there can be one.
        reference: mask that came beside the scan, to compare with; None if none came.
        findings: findings of its mask; None until there is one.
        mask_lock: lock to hold while the file of the mask and `findings` must fit together.
    """

    key: str
    name: str
    folder: Path
    state: State = State.UPLOADING
    message: str = ""
    windows: tuple[int, int] | None = None
    num_bytes: int = 0
    file_names: dict[str, str] = field(default_factory=dict)
    choices: tuple[tuple[str, str], ...] = ()
    series: str = ""
    accepts_intensities: bool = False
    is_series: bool = False
    segmentation_problem: str = ""
    details: str = ""
    reference: Reference | None = None
    findings: Findings | None = None
    mask_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def uploads(self) -> Path:
        """Folder of the files as they came."""
        return self.folder / "uploads"

    @property
    def reference_uploads(self) -> Path:
        """Folder of the mask that came beside the scan, as it came."""
        return self.folder / "reference"

    @property
    def reference_path(self) -> Path:
        """NIfTI file of that mask, with sides."""
        return self.folder / "reference.nii.gz"

    @property
    def is_corrected(self) -> bool:
        """Whether a person has changed the mask."""
        return self.findings is not None and self.findings.is_corrected

    @property
    def file_stem(self) -> str:
        """Beginning of the names of downloads: they say which ones are of a mask that a person has changed."""
        return f"{self.name}_corrected" if self.is_corrected else self.name

    @property
    def scan_path(self) -> Path:
        """NIfTI file of the scan."""
        return self.folder / "scan.nii.gz"

    @property
    def mask_path(self) -> Path:
        """NIfTI file of its mask, as it is now."""
        return self.folder / "mask.nii.gz"

    @property
    def waits_for_user(self) -> bool:
        """Whether it is the user's turn: to send the files, to choose a series, or to accept intensities."""
        return self.state in _WAITING_FOR_USER

    @property
    def is_final(self) -> bool:
        """Whether its state does not change any more."""
        return self.state in _FINAL

    def enqueue(self, series: str = "", accepts_intensities: bool = False) -> None:
        """Ends the upload, or the user's choice.

        Raises:
            RefusedError: it is queued or segmented already.
        """
        with self._lock:
            if not self.waits_for_user:
                raise RefusedError(409, "the scan is being segmented already")
            self.state, self.message = State.QUEUED, ""
            self.series, self.accepts_intensities = series or self.series, accepts_intensities

    def advance(self, state: State) -> None:
        """Goes on to a state.

        Raises:
            CancelledError: the user has cancelled it.
        """
        with self._lock:
            if self.state is State.CANCELLED:
                raise CancelledError
            self.state = state

    def offer(self, choices: tuple[tuple[str, str], ...]) -> None:
        """Lets the user choose one of several series, unless the study is in a final state."""
        with self._lock:
            if not self.is_final:
                self.state, self.choices = State.CHOOSING, choices

    def refuse(self, message: str) -> None:
        """Lets the user accept its intensities, unless the study is in a final state."""
        with self._lock:
            if not self.is_final:
                self.state, self.message = State.REFUSED, message

    def fail(self, message: str) -> None:
        """Ends it with a reason, unless it is in a final state."""
        with self._lock:
            if not self.is_final:
                self.state, self.message = State.FAILED, message

    def cancel(self) -> None:
        """Ends it because nobody needs it any more, unless it is in a final state."""
        with self._lock:
            if not self.is_final:
                self.state = State.CANCELLED


class Session:
    """The studies of a user.

    Args:
        token: token that the user's browser keeps.
        folder: folder of the studies.
        max_studies: largest number of studies at a time.
        now: the time, in seconds from any moment.
    """

    def __init__(self, token: str, folder: Path, max_studies: int, now: float) -> None:
        self.token, self.last_used = token, now
        self._folder, self._max_studies = folder, max_studies
        self._studies: dict[str, Study] = {}

    @property
    def studies(self) -> list[Study]:
        """The studies in the order in which they came."""
        return list(self._studies.values())

    @property
    def is_idle(self) -> bool:
        """Whether no study is queued or computed; one that waits for its user does not count."""
        return all(study.is_final or study.waits_for_user for study in self.studies)

    def add(self, name: str) -> Study:
        """Returns a new study; a name that another one has gets a number.

        Raises:
            RefusedError: the user already has the maximum number of scans.
        """
        if len(self._studies) >= self._max_studies:
            raise RefusedError(429, f"expected {self._max_studies} scans at most; remove one first")
        names = {study.name for study in self.studies}
        if name in names - {""}:
            name = next(other for other in (f"{name}_{n}" for n in itertools.count(2)) if other not in names)
        key = secrets.token_urlsafe(12)
        study = Study(key=key, name=name, folder=self._folder / key)
        for folder in (study.uploads, study.reference_uploads):
            folder.mkdir(parents=True)
        self._studies[key] = study
        return study

    def find(self, key: str) -> Study:
        """Returns the study of a key.

        Raises:
            RefusedError: the user has no such study.
        """
        if key not in self._studies:
            raise RefusedError(404, "there is no such scan; it may have been removed")
        return self._studies[key]

    def remove(self, key: str) -> None:
        """Cancels a study and removes it and its files.

        Raises:
            RefusedError: the user has no such study.
        """
        study = self.find(key)
        study.cancel()
        del self._studies[key]
        shutil.rmtree(study.folder, ignore_errors=True)

    def close(self) -> None:
        """Cancels and removes all studies."""
        for study in self.studies:
            self.remove(study.key)
        shutil.rmtree(self._folder, ignore_errors=True)


class Sessions:
    """The sessions of all users.

    Args:
        root: folder for them.
        max_studies: largest number of studies of a session at a time.
        keep_s: seconds that an unused session is kept.
        clock: function that returns the time, in seconds from any moment.
    """

    def __init__(
        self, root: Path, max_studies: int, keep_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root, self._max_studies = root, max_studies
        self._keep_s, self._clock = keep_s, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def new(self) -> Session:
        """Returns the session of a new user."""
        token = secrets.token_urlsafe(32)
        # The folder's name must not give the token away.
        folder = self._root / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        session = Session(token, folder, self._max_studies, self._clock())
        with self._lock:
            self._sessions[token] = session
        return session

    def find(self, token: str) -> Session | None:
        """Returns the session of a token, and notes that it is in use; None if there is none."""
        with self._lock:
            session = self._sessions.get(token)
            if session:
                session.last_used = self._clock()
        return session

    def remove_unused(self) -> int:
        """Removes the sessions that were not used for a while and compute nothing, and returns their number."""
        with self._lock:
            oldest = self._clock() - self._keep_s
            unused = [session for session in self._sessions.values() if session.last_used < oldest and session.is_idle]
            for session in unused:
                del self._sessions[session.token]
        for session in unused:
            session.close()
        return len(unused)

    def close(self) -> None:
        """Removes all sessions."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()
