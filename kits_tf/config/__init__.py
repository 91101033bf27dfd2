"""Groups of settings, as frozen dataclasses: types, defaults, ranges, help.

A command's settings class, in its own module, is built of these groups; `base.command` makes flags of it, and nothing
else defines any. Building a dataclass in Python checks the same ranges as a command line does.
"""

from kits_tf.config.analysis import MaskSchemeSettings
from kits_tf.config.data import (
    ELASTIC_LIMIT,
    AppearanceSettings,
    ConversionSettings,
    GridSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    RecordsSettings,
    ResamplingSettings,
    SplitSettings,
    WarpSettings,
)
from kits_tf.config.inference import DicomSettings, InferenceSettings, ScanSettings
from kits_tf.config.run import RunSettings
from kits_tf.config.serving import ConnectionSettings, ExportSettings, PageSettings, ServerSettings
from kits_tf.config.training import (
    LossSettings,
    NetworkSettings,
    OptimizationSettings,
    ValidationSettings,
)

__all__ = [
    "ELASTIC_LIMIT",
    "AppearanceSettings",
    "ConnectionSettings",
    "ConversionSettings",
    "DicomSettings",
    "ExportSettings",
    "GridSettings",
    "InferenceSettings",
    "InputSettings",
    "IntensitySettings",
    "LossSettings",
    "MaskSchemeSettings",
    "NetworkSettings",
    "OptimizationSettings",
    "PageSettings",
    "PatchSettings",
    "RecordsSettings",
    "ResamplingSettings",
    "RunSettings",
    "ScanSettings",
    "ServerSettings",
    "SplitSettings",
    "ValidationSettings",
    "WarpSettings",
]
