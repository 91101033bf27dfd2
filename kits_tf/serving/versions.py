"""The versions of a model on disk, as TensorFlow Serving has them: MODEL/<integer>/saved_model.pb."""

import os
from pathlib import Path


def versions(root: Path) -> list[int]:
    """Returns the versions below a model's folder, in order; a folder that is missing has none."""
    if not root.is_dir():
        return []
    return sorted(int(p.name) for p in root.iterdir() if p.name.isdecimal() and p.is_dir())


def complete_versions(root: Path) -> list[int]:
    """Returns those versions that hold a SavedModel, in order."""
    return [version for version in versions(root) if (root / str(version) / "saved_model.pb").is_file()]


def find(path: str | os.PathLike) -> Path | None:
    """Returns the SavedModel at a path, or the highest version below it; None if there is neither."""
    root = Path(path)
    if (root / "saved_model.pb").is_file():
        return root
    numbered = complete_versions(root)
    return root / str(numbered[-1]) if numbered else None
