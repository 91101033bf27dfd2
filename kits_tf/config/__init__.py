"""Every setting of every command, as frozen dataclasses: types, defaults, ranges, help.

One dataclass a command (commands), built of groups that commands share (data, training, inference); what a field is
stands in settings.py. `commandline` makes the flags from here and nothing else defines any. Building a dataclass in
Python checks the same ranges as a command line does.
"""

from kits_tf.config.commands import COMMANDS
from kits_tf.config.commands.data import Audit, Convert, Phantom, Restore, Summary
from kits_tf.config.commands.model import Evaluate, Measure, Predict, Submission, Train
from kits_tf.config.commands.serving import THIS_MACHINE, App, Client, Export, Serve
from kits_tf.config.commands.views import Demo, Figures, Report
from kits_tf.config.data import (
    ELASTIC_LIMIT,
    AppearanceSettings,
    GridSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    RecordsSettings,
    SplitSettings,
    WarpSettings,
)
from kits_tf.config.inference import DicomSettings, InferenceSettings, PageSettings, ServerSettings
from kits_tf.config.shared import CYST_CHOICES, FLIP_CHOICES, KERNEL_CHOICES, SCHEME_CHOICES
from kits_tf.config.training import LossSettings, NetworkSettings, OptimizationSettings, ValidationSettings
from kits_tf.settings import Settings

__all__ = [
    "COMMANDS",
    "CYST_CHOICES",
    "ELASTIC_LIMIT",
    "FLIP_CHOICES",
    "KERNEL_CHOICES",
    "SCHEME_CHOICES",
    "THIS_MACHINE",
    "App",
    "AppearanceSettings",
    "Audit",
    "Client",
    "Convert",
    "Demo",
    "DicomSettings",
    "Evaluate",
    "Export",
    "Figures",
    "GridSettings",
    "InferenceSettings",
    "InputSettings",
    "IntensitySettings",
    "LossSettings",
    "Measure",
    "NetworkSettings",
    "OptimizationSettings",
    "PageSettings",
    "PatchSettings",
    "Phantom",
    "Predict",
    "RecordsSettings",
    "Report",
    "Restore",
    "Serve",
    "ServerSettings",
    "Settings",
    "SplitSettings",
    "Submission",
    "Summary",
    "Train",
    "ValidationSettings",
    "WarpSettings",
]
