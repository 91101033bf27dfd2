"""The plan of a training run: all that is decided before it starts."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.config import RunSettings
from kits_tf.network.architecture import Architecture
from kits_tf.pipeline.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A run to train.

    Attributes:
        settings: settings of the run.
        manifest: manifest of the records, with the run's split.
        architecture: architecture of the network.
        run_dir: folder of the run.
    """

    settings: RunSettings
    manifest: Manifest
    architecture: Architecture
    run_dir: Path
