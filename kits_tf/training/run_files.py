"""Names of files of runs and exported models, and the runs that a text names. Without TensorFlow."""

from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.locks import LOCK_NAME
from kits_tf.base.paths import listed_paths
from kits_tf.base.words import listed
from kits_tf.config.shared import STARTER

FLAGS = "train.flags"
BEST_WEIGHTS = "best.weights.h5"
POSTPROCESS = "postprocess.json"
NOTICE = "notice.txt"
# Of a version of an exported model.
SAVED_MODEL = "saved_model.pb"
_MOST_NAMES = 3
# The run of the network that comes with the package, and the names of it and of its first stage.
STARTER_DIR = Path(__file__).parent.parent / STARTER
PACKAGED = {STARTER: STARTER_DIR, f"{STARTER}/coarse": STARTER_DIR / "coarse"}


def run_folder(name: str) -> Path:
    """Returns the folder of a run that a text names: a run of the package, whatever folders there are, or a path.

    "starter" is the package's, and "./starter" a folder here.
    """
    return PACKAGED.get(name, Path(name))


def run_folders(model: str) -> list[Path]:
    """Returns the folders of the runs of a text: one, a folder of folds (fold0, fold1, ...), or several with commas."""
    folders: list[Path] = []
    for part in listed_paths(model):
        root = run_folder(part)
        folds = [] if is_run(root) else sorted(root.glob("fold*"))
        folders += folds or [root]
    return folders


def is_run(path: Path) -> bool:
    """Returns whether a path is the folder of a run."""
    return (path / FLAGS).is_file()


def require_run(path: Path) -> None:
    """Raises InputError if a path is not the folder of a run, or no weights are kept there yet."""
    if not is_run(path):
        raise InputError(f"{path}: expected a run directory, {what_is_at(path)}")
    weights = path / BEST_WEIGHTS
    if not weights.is_file():
        raise InputError(f"{weights}: expected the weights of a trained network, found no such file")


def require_own_or_new(run_dir: Path) -> None:
    """Raises InputError if a folder is neither a run nor new nor empty."""
    is_other = run_dir.is_dir() and not is_run(run_dir)
    if is_other and any(path.name != LOCK_NAME for path in run_dir.iterdir()):
        raise InputError(f"{run_dir}: expected a new or an empty folder, or an earlier run")


def what_is_at(path: Path) -> str:
    """Returns what lies in the place of a run or a model, as in "found a run", and where one is nearby.

    It is the end of an error that says what was expected.
    """
    if not path.exists():
        return "found no such folder"
    kind = _kind(path)
    if kind:
        return f"found {kind}"
    entry = "a folder" if path.is_dir() else "a file"
    if above := _kind(path.absolute().parent):
        return f"found {entry} in {above}: give {path.parent}"
    inside = [(child, kind) for child in sorted(path.iterdir()) if (kind := _kind(child))] if path.is_dir() else []
    if inside:
        return f"found a folder that holds {listed([f'{child} ({kind})' for child, kind in inside], _MOST_NAMES)}"
    return f"found {entry} that is neither a run nor an exported model"


def _kind(path: Path) -> str:
    """Returns which of a run, an exported model and a version of one a folder is; "" if it is none of them."""
    if is_run(path):
        return "a run"
    if (path / SAVED_MODEL).is_file():
        return "a version of an exported model"
    versions = [file.parent.name for file in path.glob(f"*/{SAVED_MODEL}")] if path.is_dir() else []
    return "an exported model" if any(map(str.isdecimal, versions)) else ""
