"""The findings of a mask: its measurements, the places of its lesions, the confidence of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_files import open_mask
from kits_tf.analysis.masks import read_to_measure
from kits_tf.analysis.measurements import ABSENT, FUSED, Measurements
from kits_tf.analysis.morphometry import measure
from kits_tf.base.words import structure_text
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.geometry import Grid
from kits_tf.ct.labels import Scheme
from kits_tf.ct.mask_doubts import CUT_OFF
from kits_tf.ct.volume import Volume
from kits_tf.views.drawings import style
from kits_tf.views.pages.niivue import color_map
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

# World mm (R, A, S).
Place = tuple[float, float, float]
# The flags of measurements, for people.
_NOTES = {
    ABSENT: "No kidney was found on this side.",
    CUT_OFF: "The scan ends within it, so that its volume and sizes cannot be known.",
    FUSED: "It touches the other kidney: which part belongs to which side is not known, so neither is measured.",
}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings of a mask.

    Attributes:
        measurements: measurements of the mask as it is now.
        places_mm: a voxel deep inside each lesion, in the order of the lesions, in world mm (R, A, S).
        start_mm: place to show first: within the first lesion or, without one, in the middle of the axial plane with
            most kidney; None for an empty mask.
        scheme: scheme of its labels.
        confidence: mean probability of each kind of structure that the mask has, from the network.
    """

    measurements: Measurements
    places_mm: tuple[Place, ...]
    start_mm: Place | None
    scheme: Scheme
    confidence: Mapping[str, float]

    @property
    def is_corrected(self) -> bool:
        """Whether a person has changed the mask."""
        return self.measurements.is_corrected


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A mask that came beside its scan, to compare with.

    Attributes:
        scheme: scheme of its labels; None if it cannot be used.
        problem: reason why it cannot be used, for people; "" if it can.
    """

    scheme: Scheme | None = None
    problem: str = ""


def find(mask_path: Path, image: Volume, confidence: Mapping[str, float]) -> Findings:
    """Returns the findings of a mask.

    Args:
        mask_path: file of the mask, with sides.
        image: its scan.
        confidence: mean probability of each class, by the class's name.

    Raises:
        InputError: the mask cannot be used, or lies on another grid.
    """
    file = open_mask(mask_path, MaskSchemeSettings())
    mask, scheme = read_to_measure(file, image)
    measured = measure(mask.array, scheme, mask.grid.spacing_mm, image.array)
    measurements = replace(measured, warnings=file.warnings, is_corrected=file.is_corrected)
    kinds = {lesion.kind for lesion in measurements.lesions}
    places = tuple(_place_mm(np.array(lesion.deepest_zyx, float), mask.grid) for lesion in measurements.lesions)
    return Findings(
        measurements=measurements,
        places_mm=places,
        start_mm=places[0] if places else _middle_mm(mask),
        scheme=scheme,
        confidence={name: share for name, share in confidence.items() if "kidney" in name or name in kinds},
    )


def _middle_mm(mask: Volume) -> Place | None:
    """Returns the middle of what is labeled in the plane that has most of it; None for an empty mask."""
    labeled = mask.array > 0
    if not labeled.any():
        return None
    z = int(labeled.sum((1, 2)).argmax())
    return _place_mm(np.array([z, *np.argwhere(labeled[z]).mean(0)]), mask.grid)


def _place_mm(voxel: NDArray[np.float64], grid: Grid) -> Place:
    x, y, z = (grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]).tolist()
    return x, y, z


def to_json(findings: Findings) -> dict[str, Any]:
    """Returns findings as the page shows them, in objects that JSON has."""
    content = asdict(findings.measurements)
    for row in (*content["kidneys"], *content["lesions"]):
        row["notes"] = [_NOTES[flag] for flag in row.pop("flags")]
    for lesion, place_mm in zip(content["lesions"], findings.places_mm, strict=True):
        lesion["place_mm"] = place_mm
    return content | {
        "shown": {"kidney": KIDNEY, "lesion": LESION},
        "classes": _classes(findings.scheme.classes),
        "color_map": color_map(findings.scheme),
        "start_mm": findings.start_mm,
        "confidence": findings.confidence,
    }


def reference_to_json(reference: Reference | None) -> dict[str, Any] | None:
    """Returns what the page needs to show a mask that came beside its scan; None if none came."""
    if reference is None:
        return None
    if reference.scheme is None:
        return {"problem": reference.problem}
    return {"classes": _classes(reference.scheme.classes), "color_map": color_map(reference.scheme)}


def _classes(names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns label, name for people, and color of each class except the background."""
    return [
        {"label": label, "name": structure_text(name), "color": style.COLORS[name]}
        for label, name in enumerate(names)
        if label
    ]
