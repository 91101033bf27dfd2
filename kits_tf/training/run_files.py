"""Names of files in a run directory, and the runs that a text names. Without TensorFlow."""

from pathlib import Path

from kits_tf.base.paths import listed_paths

FLAGS = "train.flags"
BEST_WEIGHTS = "best.weights.h5"
POSTPROCESS = "postprocess.json"


def run_folders(model: str) -> list[Path]:
    """Returns the folders of the runs of a text: one, a folder of folds (fold0, fold1, ...), or several with commas."""
    folders: list[Path] = []
    for part in listed_paths(model):
        root = Path(part)
        folds = [] if (root / FLAGS).exists() else sorted(root.glob("fold*"))
        folders += folds or [root]
    return folders
