"""The versions of a model in memory: the newest on disk is loaded when it appears, and replaces the one before."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings
from kits_tf.serving.assets import warm_up
from kits_tf.serving.messages import AVAILABLE, END, LOADING
from kits_tf.serving.metadata import ASSETS_FOLDER
from kits_tf.serving.saved_model import SavedModel, load
from kits_tf.serving.versions import complete_versions, model_identity, require_versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ModelVersion:
    """A version that can be asked.

    Attributes:
        number: number of the version.
        content: its signatures and metadata.
        identity: what masks say of it.
    """

    number: int
    content: SavedModel
    identity: str


@dataclass(frozen=True)
class VersionState:
    """The state of a version.

    Attributes:
        state: LOADING, AVAILABLE or END, as `messages` has them.
        error: reason why it could not be loaded; "" if there is none.
    """

    state: int
    error: str = ""


_UNKNOWN = VersionState(END)


class ModelFolder:
    """Loads the newest version in a folder; if a version cannot be loaded, the one before stays.

    If the version that is served is removed, the newest of the others is served in its place, as TensorFlow Serving
    does it, so that a version is taken back by removing its folder. The last one is served until there is another.

    Args:
        root: folder of the versions.
        poll_s: seconds between two looks into it.
    """

    def __init__(self, root: Path, poll_s: float) -> None:
        self.root, self._poll_s = root, poll_s
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._current: ModelVersion | None = None
        self._states: dict[int, VersionState] = {}
        self._said = ""
        self._watcher = threading.Thread(target=self._watch, name="model folder", daemon=True)

    def start(self) -> None:
        """Loads the newest version, and from now on newer ones when they appear.

        Raises:
            InputError: no version can be loaded.
        """
        self._update()
        if self._current is None:
            require_versions(self.root)
            reasons = "; ".join(f"version {version}: {state.error}" for version, state in self.states().items())
            raise InputError(f"{self.root}: expected a version that can be served, {reasons}")
        self._watcher.start()

    def stop(self) -> None:
        """Loads no further versions."""
        self._stopped.set()

    def find(self, number: int | None) -> ModelVersion | None:
        """Returns the version that is served, if it has this number; None stands for any."""
        with self._lock:
            current = self._current
        return current if current and number in (None, current.number) else None

    def states(self) -> dict[int, VersionState]:
        """Returns the state of every version, by its number."""
        with self._lock:
            return dict(sorted(self._states.items()))

    def _watch(self) -> None:
        while not self._stopped.wait(self._poll_s):
            try:
                self._update()
            except OSError as error:  # as of a folder that is being moved, or that may not be read at the moment
                self._say_once(f"{self.root}: cannot be read, it is tried again: {error.strerror}")

    def _update(self) -> None:
        """Loads the newest version that is not known to fail, if it is newer than the current one, or that is gone."""
        available = complete_versions(self.root)
        with self._lock:
            current = self._current.number if self._current else -1
            for gone in set(self._states) - set(available) - {current}:
                del self._states[gone]
            newest = current if current in available else -1
            candidates = [
                number for number in available if number > newest and not self._states.get(number, _UNKNOWN).error
            ]
        if newest < current:
            following = "loading the newest of the others" if candidates else "it is served until there is another"
            self._say_once(f"version {current} is no longer in {self.root}: {following}")
        for number in reversed(candidates):  # an older one only if the newer ones cannot be loaded
            if self._load(number, available[number]):
                return

    def _load(self, number: int, directory: Path) -> bool:
        """Loads a version, makes it the current one, and returns whether that was possible."""
        self._set_state(number, VersionState(LOADING))
        try:
            version = ModelVersion(number, load(directory), model_identity(str(directory), InferenceSettings()))
            warm_up(version.content, directory / ASSETS_FOLDER)
        except InputError as error:
            self._set_state(number, VersionState(END, str(error)))
            logger.warning("version %d cannot be served: %s", number, error)
            return False
        with self._lock:
            before, self._current = self._current, version
            self._states[number] = VersionState(AVAILABLE)
            if before:
                self._states[before.number] = VersionState(END)
        logger.info("serving version %d%s", number, f" in place of {before.number}" if before else "")
        return True

    def _say_once(self, message: str) -> None:
        """Logs a message, unless it was the last one that this logged."""
        if message != self._said:
            logger.warning("%s", message)
        self._said = message

    def _set_state(self, number: int, state: VersionState) -> None:
        with self._lock:
            self._states[number] = state
