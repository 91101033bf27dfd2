"""What is told of a mask: its measurements, where its lesions lie, how sure the network was, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kits_tf.analysis.masks import read_to_measure
from kits_tf.analysis.measurements import ABSENT, CUT_OFF, FUSED, Measurements
from kits_tf.analysis.morphometry import measure
from kits_tf.ct.labels import Scheme, find_scheme
from kits_tf.ct.volume import Volume
from kits_tf.views.drawings import style
from kits_tf.views.pages.niivue import color_map
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

_FLAGS = {
    ABSENT: "No kidney was found on this side.",
    CUT_OFF: "The scan ends within it, so that its volume and sizes cannot be known.",
    FUSED: "It touches the other kidney: which part belongs to which side is not known, so neither is measured.",
}


@dataclass(frozen=True)
class Outcome:
    """What is told of a mask.

    Attributes:
        measurements: of the mask as it is now.
        places_mm: of each lesion, in their order: a voxel of it, deep within, in world mm (R, A, S).
        scheme: of its labels.
        confidence: mean probability of each class where the network gave it; as it was before any correction.
        is_corrected: whether a person has changed the mask.
    """

    measurements: Measurements
    places_mm: tuple[tuple[float, float, float], ...]
    scheme: Scheme
    confidence: Mapping[str, float]
    is_corrected: bool = False


def outcome_of(mask_path: Path, image: Volume, confidence: Mapping[str, float], is_corrected: bool) -> Outcome:
    """Returns what is told of a mask.

    Args:
        mask_path: of the mask, with sides.
        image: its scan.
        confidence: of the network, by class.
        is_corrected: whether a person has changed the mask.

    Raises:
        InputError: the mask cannot be used, or lies on another grid.
    """
    mask, scheme = read_to_measure(mask_path, find_scheme("laterality"), image)
    found = measure(mask.array, scheme, mask.grid.spacing_mm, image.array)
    voxels = np.array([lesion.deepest_zyx for lesion in found.lesions], float).reshape(-1, 3)
    places = voxels @ mask.grid.affine[:3, :3].T + mask.grid.affine[:3, 3]
    return Outcome(found, tuple(map(tuple, places.tolist())), scheme, confidence, is_corrected)


def told(outcome: Outcome) -> dict[str, Any]:
    """Returns what the page shows of a mask, for JSON."""
    measurements = asdict(outcome.measurements)
    for row in (*measurements["kidneys"], *measurements["lesions"]):
        row["notes"] = [_FLAGS[flag] for flag in row.pop("flags")]
    for lesion, place_mm in zip(measurements["lesions"], outcome.places_mm, strict=True):
        lesion["place_mm"] = place_mm
    return measurements | {
        "shown": {"kidney": KIDNEY, "lesion": LESION},
        "classes": classes(outcome.scheme.classes),
        "color_map": color_map(outcome.scheme),
        "confidence": outcome.confidence,
        "is_corrected": outcome.is_corrected,
    }


def classes(names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns label, name for people, and color of each class but the background."""
    return [
        {"label": label, "name": style.words(name), "color": style.COLORS[name]}
        for label, name in enumerate(names)
        if label
    ]
