"""The versions of a model in memory: the newest on disk is loaded as it comes, and replaces the one before."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.serving.messages import AVAILABLE, END, LOADING, PredictionLog
from kits_tf.serving.saved_model import EXTRA, Exported, load
from kits_tf.serving.tensors import from_proto
from kits_tf.serving.versions import complete_versions
from kits_tf.serving.warmup import WARMUP_NAME
from tfrecords_tools.errors import RecordError
from tfrecords_tools.read import read_records


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that can be asked.

    Attributes:
        version: its number.
        exported: its signatures and metadata.
    """

    version: int
    exported: Exported


@dataclass(frozen=True)
class VersionState:
    """What is known of a version: LOADING, AVAILABLE or END, and why it could not be loaded."""

    state: int
    error: str = ""


class ModelFolder:
    """Serves the newest version in a folder; one that cannot be loaded leaves the one before in its place.

    Args:
        root: folder of the versions.
        poll_s: how often it is looked at.
        tell: is told of every version that comes, in a line.
    """

    def __init__(self, root: Path, poll_s: float, tell: Callable[[str], None]) -> None:
        self.root, self._poll_s, self._tell = root, poll_s, tell
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._current: LoadedModel | None = None
        self._states: dict[int, VersionState] = {}
        self._watcher = threading.Thread(target=self._watch, name="model folder", daemon=True)

    def start(self) -> None:
        """Loads the newest version, and others as they come.

        Raises:
            InputError: no version can be loaded.
        """
        self._update()
        if self._current is None:
            reasons = [f"{version}: {state.error}" for version, state in self.states().items()]
            raise InputError(f"{self.root}: expected a version of an exported model, found {reasons or 'none'}")
        self._watcher.start()

    def stop(self) -> None:
        """Looks for no further versions."""
        self._stopped.set()

    def find(self, version: int | None) -> LoadedModel | None:
        """Returns the version that is served, if it is the one that is asked for."""
        with self._lock:
            current = self._current
        return current if current and version in (None, current.version) else None

    def states(self) -> dict[int, VersionState]:
        """Returns what is known of every version, by its number."""
        with self._lock:
            return dict(sorted(self._states.items()))

    def _watch(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self._update()

    def _update(self) -> None:
        """Loads the newest version that is not known yet, if it is newer than the current one."""
        available = complete_versions(self.root)
        with self._lock:
            for gone in set(self._states) - set(available):
                if self._current is None or gone != self._current.version:
                    del self._states[gone]
            newest = self._current.version if self._current else -1
            candidates = [v for v in available if v > newest and v not in self._states]
        for version in reversed(candidates):  # an older one only if the newer ones cannot be loaded
            if self._load(version):
                return

    def _load(self, version: int) -> bool:
        self._set_state(version, VersionState(LOADING))
        try:
            model = LoadedModel(version, load(self.root / str(version)))
            warm_up(model.exported, self.root / str(version) / EXTRA / WARMUP_NAME)
        except InputError as error:
            self._set_state(version, VersionState(END, str(error)))
            self._tell(f"version {version} cannot be served: {error}")
            return False
        with self._lock:
            before, self._current = self._current, model
            self._states[version] = VersionState(AVAILABLE)
            if before:
                self._states[before.version] = VersionState(END)
        self._tell(f"serving version {version}" + (f" in place of {before.version}" if before else ""))
        return True

    def _set_state(self, version: int, state: VersionState) -> None:
        with self._lock:
            self._states[version] = state


def warm_up(model: Exported, path: Path) -> None:
    """Makes the requests of a file of PredictionLog; a model without such a file is not warmed up.

    Raises:
        InputError: the file is damaged, or the model refuses a request.
    """
    if not path.is_file():
        return
    try:
        for record in read_records(path):
            request = PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.constant(from_proto(tensor, name)) for name, tensor in request.inputs.items()}
            model.signatures[request.model_spec.signature_name](**inputs)
    except (RecordError, KeyError, tf.errors.OpError) as error:
        raise InputError(f"{path}: expected requests that the model answers: {str(error)[:300]}") from None
