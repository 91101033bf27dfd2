"""Post-processing: steps that are done to a mask after the network, by their names.

A chain is written as in `crf,kidneys,specks:0.5,fill`: steps in their order, some with an amount behind a colon. A step
is a function with the decorator `postprocess_step`, here or in a plugin. `crf` is not such a step: it refines logits
within the graph, before there is a mask, and the parsed text holds it apart from the chain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cc3d
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from kits_tf.base.errors import InputError
from kits_tf.base.registry import Registry
from kits_tf.ct.components import components_26, without_specks
from kits_tf.ct.geometry import Spacing, bounding_box
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR, Scheme, challenge_lookup, from_challenge
from kits_tf.ct.morphology import box_with_room, closing_gaps, opened

Labels = NDArray[np.uint8]
CRF = "crf"


@dataclass(frozen=True, eq=False)
class Context:
    """The scan under a mask, for steps that ask for it.

    Attributes:
        scheme: scheme of the labels.
        spacing_zyx_mm: voxel sizes.
        hu: (z, y, x) int16, on the mask's grid.
    """

    scheme: Scheme
    spacing_zyx_mm: Spacing
    hu: NDArray[np.int16]

    def labels_of(self, challenge_label: int) -> NDArray[np.bool_]:
        """Returns which labels of the scheme are a label of the challenge, (classes,) bool."""
        return challenge_lookup(self.scheme.classes) == challenge_label


@dataclass(frozen=True)
class StepFunction:
    """The function behind the name of a step.

    Attributes:
        apply: function that takes labels (z, y, x) uint8, not all 0, a `Context`, and the amount if there is one, to
            new labels.
        unit: unit of the amount, as in "ML"; "" for a step without one.
    """

    apply: Callable[..., Labels]
    unit: str = ""


STEPS: Registry[StepFunction] = Registry("--postprocess")
F = TypeVar("F", bound=Callable[..., Labels])


def postprocess_step(name: str, unit: str = "") -> Callable[[F], F]:
    """Returns a decorator that makes a function a step of --postprocess.

    Args:
        name: name of the step.
        unit: unit of its amount, as in "ML", which the function then takes as its third argument; "": none.
    """

    def register(function: F) -> F:
        STEPS.register(name)(StepFunction(function, unit))
        return function

    return register


class Step(NamedTuple):
    """A step of a chain.

    Attributes:
        name: key of STEPS.
        amount: number for those that have one.
    """

    name: str
    amount: float | None = None

    def __str__(self) -> str:
        return self.name if self.amount is None else f"{self.name}:{self.amount:g}"


Chain = tuple[Step, ...]


@dataclass(frozen=True)
class Postprocessing:
    """What --postprocess says; `str` gives its text.

    Attributes:
        crf: whether the graph refines its logits by a conditional random field.
        chain: steps that are done to the mask.
    """

    crf: bool = False
    chain: Chain = ()

    def __str__(self) -> str:
        return ",".join([CRF] * self.crf + [str(step) for step in self.chain]) or "off"


def parse_postprocess(text: str) -> Postprocessing:
    """Returns what a text of --postprocess says; "" and "off" say nothing.

    Raises:
        InputError: there is no such step, an amount is missing, superfluous or not above 0, or crf is not the first.
    """
    parts = [part.strip() for part in text.split(",") if part.strip() not in ("", "off")]
    has_crf = parts[:1] == [CRF]
    if CRF in parts[1:]:
        raise InputError(f"--postprocess: expected {CRF} as the first step, it works on logits, got {text}")
    return Postprocessing(has_crf, tuple(_parse_step(part) for part in parts[has_crf:]))


def _parse_step(text: str) -> Step:
    name, colon, amount = text.partition(":")
    if name not in STEPS:
        raise InputError(f"--postprocess: expected steps of {', '.join([CRF, *STEPS])}, got {text}")
    unit = STEPS[name].unit
    if bool(colon) != bool(unit):
        raise InputError(f"--postprocess: expected {f'{name}:{unit}' if unit else name}, got {text}")
    try:
        value = float(amount) if colon else None
    except ValueError:
        value = 0.0
    if value is not None and not 0 < value < np.inf:
        raise InputError(f"--postprocess: expected {name}:{unit} with a number above 0, got {text}")
    return Step(name, value)


def chain_for(exported: Postprocessing, text: str, source: str) -> Chain:
    """Returns the chain that a text asks of an exported model, whose graph cannot be changed any more.

    Args:
        exported: post-processing that the model was exported with, which "" stands for.
        text: value of --postprocess.
        source: path of the model, for errors.

    Raises:
        InputError: the text is wrong; or the graph has crf and should not, or the other way around.
    """
    if not text:
        return exported.chain
    requested = parse_postprocess(text)
    if requested.crf != exported.crf:
        raise InputError(f"{source}: expected --postprocess {'with' if exported.crf else 'without'} crf, as exported")
    return requested.chain


def apply_chain(labels: Labels, context: Context, chain: Chain) -> Labels:
    """Returns a mask (z, y, x) uint8 after the steps of a chain; an empty mask stays empty."""
    for step in chain:
        if labels.any():
            amount = () if step.amount is None else (step.amount,)
            labels = STEPS[step.name].apply(labels, context, *amount)
    return labels


@postprocess_step("kidneys")
def keep_kidneys(labels: Labels, context: Context) -> Labels:
    """Returns the 26-connected components that are not specks compared with the largest: one, two or more of them."""
    return labels * without_specks(labels > 0)


@postprocess_step("specks", unit="ML")
def drop_specks(labels: Labels, context: Context, smallest_ml: float) -> Labels:
    """Returns labels in which each smaller component of one label has the label that surrounds it most."""
    result = labels.copy()
    smallest = smallest_ml * 1000 / float(np.prod(context.spacing_zyx_mm))
    for label in range(1, len(context.scheme.classes)):
        _refill(result, labels == label, lambda count: count < smallest)
    return result


@postprocess_step("fill")
def fill_holes(labels: Labels, context: Context) -> Labels:
    """Returns labels in which background that foreground encloses has the label that surrounds it most."""
    box = bounding_box(labels)
    result = labels.copy()
    inside = result[box]
    holes = fill_voids.fill(inside > 0) & (inside == 0)
    _refill(inside, holes, lambda count: True)
    return result


@postprocess_step("touch")
def drop_lone_tumors(labels: Labels, context: Context) -> Labels:
    """Returns labels without the components of tumor that no voxel of kidney or cyst is a neighbor of."""
    result = labels.copy()
    is_tumor = context.labels_of(CHALLENGE_TUMOR)
    for tumor in _components(is_tumor[labels]):
        if not (labels[tumor.box][tumor.ring] > 0).any():
            result[tumor.box][tumor.inside] = 0
    return result


@postprocess_step("no_tumors")
def tumors_as_kidney(labels: Labels, context: Context) -> Labels:
    """Returns labels whose tumors are kidney; in a scheme with sides, all kidneys get theirs by geometry."""
    official = challenge_lookup(context.scheme.classes)[labels]
    official[official == CHALLENGE_TUMOR] = CHALLENGE_KIDNEY
    return from_challenge(official, context.scheme, context.hu, context.spacing_zyx_mm)[0]


@postprocess_step("open", unit="MM")
def open_foreground(labels: Labels, context: Context, radius_mm: float) -> Labels:
    """Returns labels where a ball of a radius, in mm, fits into the foreground: what is thinner is lost."""
    return labels * opened(labels > 0, context.spacing_zyx_mm, radius_mm)


@postprocess_step("close", unit="MM")
def close_foreground(labels: Labels, context: Context, radius_mm: float) -> Labels:
    """Returns labels in which gaps that no ball of a radius, in mm, fits into have the nearest label."""
    gaps = closing_gaps(labels > 0, context.spacing_zyx_mm, radius_mm)
    if not gaps.any():
        return labels
    box = box_with_room(labels, context.spacing_zyx_mm, radius_mm)
    inside = labels[box]
    nearest = distance_transform_edt(inside == 0, context.spacing_zyx_mm, return_distances=False, return_indices=True)
    result = labels.copy()
    result[box] = np.where(gaps[box], inside[tuple(nearest)], inside)
    return result


@postprocess_step("sides")
def assign_sides(labels: Labels, context: Context) -> Labels:
    """Returns labels with the sides of kidneys by geometry, as records have them, if the scheme has sides."""
    if not context.labels_of(CHALLENGE_KIDNEY)[labels].any():
        return labels
    official = challenge_lookup(context.scheme.classes)[labels]
    return from_challenge(official, context.scheme, context.hu, context.spacing_zyx_mm)[0]


class _Component(NamedTuple):
    """A connected part of a mask.

    Attributes:
        box: part of the mask's grid that holds it, with room around it.
        inside: voxels of the box that belong to it.
        ring: voxels of the box that are neighbors of it.
    """

    box: tuple[slice, ...]
    inside: NDArray[np.bool_]
    ring: NDArray[np.bool_]


def _components(mask: NDArray[np.bool_]) -> list[_Component]:
    """Returns the 26-connected components of a mask."""
    components = components_26(mask)
    result = []
    for i, box in enumerate(cc3d.statistics(components)["bounding_boxes"]):
        if i:
            wide = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
            inside = components[wide] == i
            result.append(_Component(wide, inside, _grown(inside) & ~inside))
    return result


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns a mask and the 26 neighbors of its voxels."""
    for axis in range(3):
        moved = np.moveaxis(mask, axis, 0)
        wider = moved.copy()
        wider[1:] |= moved[:-1]
        wider[:-1] |= moved[1:]
        mask = np.moveaxis(wider, 0, axis)
    return mask


def _refill(labels: Labels, mask: NDArray[np.bool_], is_chosen: Callable[[int], bool]) -> None:
    """Gives each component of a mask with a chosen count of voxels the label that is most frequent around it."""
    if not mask.any():
        return
    for component in _components(mask):
        if is_chosen(int(component.inside.sum())):
            around = labels[component.box][component.ring]
            labels[component.box][component.inside] = np.bincount(around).argmax() if around.size else 0
