"""What decided a result besides its settings: versions, platform, devices, git revision."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

from kits_tf.base.version import __version__

_PACKAGES = ("tensorflow", "keras", "numpy", "nibabel")


def environment() -> dict:
    """Returns versions, platform, devices and git revision of this process, as environment.json of a run has them."""
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """Returns the commit that kits_tf runs from, with "-dirty" after uncommitted changes; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def package_versions() -> dict[str, str]:
    """Returns the versions of the packages that decide what a run computes."""
    installed = {name: _version(name) for name in _PACKAGES}
    return {"kits_tf": __version__} | {name: version for name, version in installed.items() if version}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
