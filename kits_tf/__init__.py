"""kits_tf: kidneys and kidney tumors in CT, from NIfTI to a served mask, in TensorFlow.

The names below are the library; each is imported when it is first used, so that `import kits_tf` takes no time.

The package has a module for each command, and a room for each part of the way that a scan takes, in this order: ct,
pipeline, network, training, inference, analysis, views, serving, webapp, library. base and config are the ground floor,
and synthesis invents scans. starter has no code: it is the run of the network that comes with the package.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

from kits_tf.base.version import __version__

if TYPE_CHECKING:
    from kits_tf.analysis.measurements import Kidney, LesionMeasures, Measurements
    from kits_tf.base.errors import InputError
    from kits_tf.ct.geometry import Grid
    from kits_tf.ct.labels import Scheme, find_scheme
    from kits_tf.ct.scans import read_scan
    from kits_tf.ct.volume import Volume
    from kits_tf.library.loading import load_model
    from kits_tf.library.mask import Mask, read_mask
    from kits_tf.library.model import Model, connect

# Module and name of each public name; the reference has them in this order.
_HOMES = {
    "load_model": "kits_tf.library.loading:load_model",
    "connect": "kits_tf.library.model:connect",
    "read_scan": "kits_tf.ct.scans:read_scan",
    "read_mask": "kits_tf.library.mask:read_mask",
    "Model": "kits_tf.library.model:Model",
    "Mask": "kits_tf.library.mask:Mask",
    "Measurements": "kits_tf.analysis.measurements:Measurements",
    "Kidney": "kits_tf.analysis.measurements:Kidney",
    "LesionMeasures": "kits_tf.analysis.measurements:LesionMeasures",
    "Volume": "kits_tf.ct.volume:Volume",
    "Grid": "kits_tf.ct.geometry:Grid",
    "Scheme": "kits_tf.ct.labels:Scheme",
    "find_scheme": "kits_tf.ct.labels:find_scheme",
    "InputError": "kits_tf.base.errors:InputError",
}
__all__ = [
    "Grid",
    "InputError",
    "Kidney",
    "LesionMeasures",
    "Mask",
    "Measurements",
    "Model",
    "Scheme",
    "Volume",
    "__version__",
    "connect",
    "find_scheme",
    "load_model",
    "read_mask",
    "read_scan",
]

# Names that import TensorFlow: it is started first, quietly and with the kernels of the commands.
_ON_TENSORFLOW = {"load_model"}

# A library is silent unless its user sets up logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kits_tf' has no attribute {name!r}")
    if name in _ON_TENSORFLOW:
        importlib.import_module("kits_tf.base.startup").start_tensorflow()
    module, attribute = _HOMES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
