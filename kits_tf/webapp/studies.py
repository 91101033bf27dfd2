"""Scans that were dropped on the page: whose they are, where they lie, and what has become of them."""

import enum
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kits_tf.webapp.outcome import Outcome


class State(str, enum.Enum):
    """Of a study, in the order in which it goes through them; the last three are ends.

    A user who chooses one of several series sends it back to QUEUED.
    """

    UPLOADING = "uploading"
    QUEUED = "queued"
    READING = "reading"
    CHOOSING = "choosing"
    SEGMENTING = "segmenting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDS = {State.DONE, State.FAILED, State.CANCELLED}
_OF_USERS = {State.UPLOADING, State.CHOOSING}


class RefusedError(Exception):
    """What a user asked for is not done.

    Attributes:
        status: of HTTP.
        message: why, in a sentence for the user.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(eq=False)
class Study:
    """A scan that was dropped on the page.

    Attributes:
        key: by which the browser names it.
        name: for people and for downloads; no file is called by it.
        folder: of all that belongs to it.
        state: what has become of it.
        message: why it failed.
        windows: how many are done, of how many; None where nobody knows.
        num_bytes: that were uploaded.
        choices: series to choose from, (what `DicomSettings.series` takes, what people read).
        series: that was chosen.
        is_series: whether it came as a DICOM series; known once it was read.
        outcome: what is told of its mask, once there is one.
    """

    key: str
    name: str
    folder: Path
    state: State = State.UPLOADING
    message: str = ""
    windows: tuple[int, int] | None = None
    num_bytes: int = 0
    choices: tuple[tuple[str, str], ...] = ()
    series: str = ""
    is_series: bool = False
    outcome: Outcome | None = None

    @property
    def uploads(self) -> Path:
        """Folder of the files as they came."""
        return self.folder / "uploads"

    @property
    def scan_path(self) -> Path:
        """The scan, as NIfTI."""
        return self.folder / "scan.nii.gz"

    @property
    def mask_path(self) -> Path:
        """Its mask, as it is now."""
        return self.folder / "mask.nii.gz"

    @property
    def waits_for_user(self) -> bool:
        """Whether it is the user's turn: to send the files, or to choose a series."""
        return self.state in _OF_USERS

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in _ENDS

    def cancel(self) -> None:
        """Gives it up, unless it is over."""
        if not self.is_over:
            self.state = State.CANCELLED


class Session:
    """A user's studies.

    Args:
        token: that the user's browser keeps.
        folder: of its studies.
        most: studies at a time.
        now: the time, in seconds from any moment.
    """

    def __init__(self, token: str, folder: Path, most: int, now: float) -> None:
        self.token, self.last_used = token, now
        self._folder, self._most = folder, most
        self._studies: dict[str, Study] = {}

    @property
    def studies(self) -> list[Study]:
        """In the order in which they came."""
        return list(self._studies.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it waits or is computed; what a user has left off midway does not count."""
        return all(study.is_over or study.waits_for_user for study in self.studies)

    def add(self, name: str) -> Study:
        """Returns a new study.

        Raises:
            RefusedError: there are as many as there may be.
        """
        if len(self._studies) >= self._most:
            raise RefusedError(429, f"expected {self._most} scans at most; remove one first")
        key = secrets.token_urlsafe(12)
        study = Study(key, name, self._folder / key)
        study.uploads.mkdir(parents=True)
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
        """Gives a study up and forgets it and its files.

        Raises:
            RefusedError: the user has no such study.
        """
        study = self.find(key)
        study.cancel()
        del self._studies[key]
        shutil.rmtree(study.folder, ignore_errors=True)

    def close(self) -> None:
        """Gives all studies up and forgets them."""
        for study in self.studies:
            self.remove(study.key)
        shutil.rmtree(self._folder, ignore_errors=True)


class Sessions:
    """All users' studies.

    Args:
        root: folder for them.
        most: studies a session at a time.
        keep_s: how long an unused session is kept.
        clock: gives the time, in seconds from any moment.
    """

    def __init__(self, root: Path, most: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._most, self._keep_s, self._clock = root, most, keep_s, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def new(self) -> Session:
        """Returns a session of a new user."""
        token = secrets.token_urlsafe(32)
        # The folder's name must not give the token away.
        folder = self._root / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        session = Session(token, folder, self._most, self._clock())
        with self._lock:
            self._sessions[token] = session
        return session

    def find(self, token: str) -> Session | None:
        """Returns the session of a token, which is in use now; None if there is none."""
        with self._lock:
            session = self._sessions.get(token)
            if session:
                session.last_used = self._clock()
        return session

    def forget_unused(self) -> int:
        """Forgets the sessions that nobody has used for a while and returns how many; none that computes."""
        with self._lock:
            oldest = self._clock() - self._keep_s
            unused = [session for session in self._sessions.values() if session.last_used < oldest and session.is_idle]
            for session in unused:
                del self._sessions[session.token]
        for session in unused:
            session.close()
        return len(unused)

    def close(self) -> None:
        """Forgets all sessions."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()
