"""kits_tf: kidneys and kidney tumors in CT, from NIfTI to a served mask, in TensorFlow.

The names below are the library; each is imported when it is first used, so that `import kits_tf` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kits_tf.analysis.case_masks import CaseMasks
    from kits_tf.analysis.scores import score_case
    from kits_tf.api import load_model, measure_labels, read_scan
    from kits_tf.ct.geometry import Grid
    from kits_tf.ct.labels import Scheme, find_scheme
    from kits_tf.ct.volume import Volume, read_labels, write_labels
    from kits_tf.errors import InputError
    from kits_tf.inference.model import Model
    from kits_tf.serving.client.client import Client
    from kits_tf.views.case_figure import case_figure

# Where each public name lives; the reference has them in this order.
_HOMES = {
    "load_model": "kits_tf.api",
    "read_scan": "kits_tf.api",
    "read_labels": "kits_tf.ct.volume",
    "write_labels": "kits_tf.ct.volume",
    "measure_labels": "kits_tf.api",  # kits_tf.measure is the command
    "score_case": "kits_tf.analysis.scores",
    "case_figure": "kits_tf.views.case_figure",
    "CaseMasks": "kits_tf.analysis.case_masks",
    "Client": "kits_tf.serving.client.client",
    "Model": "kits_tf.inference.model",
    "Volume": "kits_tf.ct.volume",
    "Grid": "kits_tf.ct.geometry",
    "Scheme": "kits_tf.ct.labels",
    "find_scheme": "kits_tf.ct.labels",
    "InputError": "kits_tf.errors",
}
__all__ = [
    "CaseMasks",
    "Client",
    "Grid",
    "InputError",
    "Model",
    "Scheme",
    "Volume",
    "__version__",
    "case_figure",
    "find_scheme",
    "load_model",
    "measure_labels",
    "read_labels",
    "read_scan",
    "score_case",
    "write_labels",
]


# What imports TensorFlow: it is started first, quietly and with the kernels of the commands.
_ON_TENSORFLOW = {"CaseMasks", "case_figure"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kits_tf' has no attribute {name!r}")
    if name in _ON_TENSORFLOW:
        importlib.import_module("kits_tf.runtime").start_tensorflow()
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
