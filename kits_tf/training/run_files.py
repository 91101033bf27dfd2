"""Names of files in a run directory, and the runs that a text names. Without TensorFlow."""

from pathlib import Path

from kits_tf.base.paths import listed_paths
from kits_tf.config.shared import STARTER

FLAGS = "train.flags"
BEST_WEIGHTS = "best.weights.h5"
POSTPROCESS = "postprocess.json"
NOTICE = "notice.txt"
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
        folds = [] if (root / FLAGS).exists() else sorted(root.glob("fold*"))
        folders += folds or [root]
    return folders
