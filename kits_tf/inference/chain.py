"""A chain of named steps that are done to a mask after the network.

It is written as in `kidneys,specks:0.5,fill`: steps in their order, some with an amount behind a colon.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kits_tf.base.errors import InputError
from kits_tf.inference import postprocess
from kits_tf.inference.postprocess import Context, Labels

# The step that is done in the graph, on logits, before the others.
CRF = "crf"
STEPS: dict[str, Callable[..., Labels]] = {
    "kidneys": postprocess.keep_kidneys,
    "specks": postprocess.drop_specks,
    "fill": postprocess.fill_holes,
    "touch": postprocess.tumor_touches,
    "open": postprocess.open_foreground,
    "close": postprocess.close_foreground,
    "sides": postprocess.assign_sides,
}
_UNITS = {"specks": "ML", "open": "MM", "close": "MM"}


@dataclass(frozen=True)
class Step:
    """A step of a chain.

    Attributes:
        name: a key of STEPS, or CRF.
        amount: for those that have one.
    """

    name: str
    amount: float | None = None

    def __str__(self) -> str:
        return self.name if self.amount is None else f"{self.name}:{self.amount:g}"


Chain = tuple[Step, ...]


def chain_text(chain: Chain) -> str:
    """Returns the text that `parse_chain` reads back to the same chain."""
    return ",".join(map(str, chain)) or "off"


def parse_chain(text: str) -> Chain:
    """Returns the steps of a chain; "" and "off" have none.

    Raises:
        InputError: there is no such step, an amount is missing, superfluous or not above 0, or crf is not the first.
    """
    chain = tuple(_parse_step(part.strip()) for part in text.split(",") if part.strip() not in ("", "off"))
    if any(step.name == CRF for step in chain[1:]):
        raise InputError(f"--postprocess: expected {CRF} as the first step, it works on logits, got {text}")
    return chain


def _parse_step(text: str) -> Step:
    name, colon, amount = text.partition(":")
    if name != CRF and name not in STEPS:
        raise InputError(f"--postprocess: expected steps of {', '.join([CRF, *STEPS])}, got {text}")
    if bool(colon) != (name in _UNITS):
        wanted = f"{name}:{_UNITS[name]}" if name in _UNITS else name
        raise InputError(f"--postprocess: expected {wanted}, got {text}")
    try:
        value = float(amount) if colon else None
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < np.inf:
        raise InputError(f"--postprocess: expected {name}:{_UNITS[name]} with a number above 0, got {text}")
    return Step(name, value)


def changed_chain(exported: Chain, wanted: str, source: str) -> Chain:
    """Returns the chain that is wanted of a model whose graph is finished; "" wants what it was exported with.

    Raises:
        InputError: as `parse_chain`; or the graph has crf and should not, or the other way around.
    """
    if not wanted:
        return exported
    chain, has_crf = parse_chain(wanted), Step(CRF) in exported
    if (Step(CRF) in chain) != has_crf:
        raise InputError(f"{source}: expected --postprocess {'with' if has_crf else 'without'} crf, as exported")
    return chain


def apply_chain(labels: Labels, context: Context, chain: Chain) -> Labels:
    """Returns a mask (z, y, x) uint8 after the steps of a chain; CRF is left out, logits have gone through it."""
    for step in chain:
        if step.name != CRF and labels.any():
            function = STEPS[step.name]
            labels = function(labels, context) if step.amount is None else function(labels, context, step.amount)
    return labels
