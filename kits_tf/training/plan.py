"""What is to be trained, decided once."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.config import RunSettings
from kits_tf.network.architecture import Architecture
from kits_tf.pipeline.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A run that is to be trained.

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
