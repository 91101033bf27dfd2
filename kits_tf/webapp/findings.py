"""The findings of a mask: its measurements, the places of its lesions, the confidence of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kits_tf.analysis.mask_files import open_mask
from kits_tf.analysis.masks import read_to_measure
from kits_tf.analysis.measurements import ABSENT, CUT_OFF, FUSED, Measurements
from kits_tf.analysis.morphometry import measure
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.volume import Volume
from kits_tf.views.drawings import style
from kits_tf.views.pages.niivue import color_map
from kits_tf.views.pages.shown_measurements import KIDNEY, LESION

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
        scheme: scheme of its labels.
        confidence: mean probability of each class, from the network; a correction does not change it.
        is_corrected: whether a person has changed the mask.
        warnings: sentences that whoever uses them must know.
    """

    measurements: Measurements
    places_mm: tuple[tuple[float, float, float], ...]
    scheme: Scheme
    confidence: Mapping[str, float]
    is_corrected: bool
    warnings: tuple[str, ...]


def find(mask_path: Path, image: Volume, confidence: Mapping[str, float], *, is_corrected: bool) -> Findings:
    """Returns the findings of a mask.

    Args:
        mask_path: file of the mask, with sides.
        image: its scan.
        confidence: mean probability of each class, by the class's name.
        is_corrected: whether a person has changed the mask.

    Raises:
        InputError: the mask cannot be used, or lies on another grid.
    """
    mask, scheme = read_to_measure(open_mask(mask_path, MaskSchemeSettings()), image)
    measurements = measure(mask.array, scheme, mask.grid.spacing_mm, image.array)
    voxels = np.array([lesion.deepest_zyx for lesion in measurements.lesions], float).reshape(-1, 3)
    places = voxels @ mask.grid.affine[:3, :3].T + mask.grid.affine[:3, 3]
    return Findings(
        measurements=measurements,
        places_mm=tuple(map(tuple, places.tolist())),
        scheme=scheme,
        confidence=confidence,
        is_corrected=is_corrected,
        warnings=mask.metadata.warnings,
    )


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
        "confidence": findings.confidence,
        "is_corrected": findings.is_corrected,
        "warnings": findings.warnings,
    }


def _classes(names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns label, name for people, and color of each class except the background."""
    return [
        {"label": label, "name": style.words(name), "color": style.COLORS[name]}
        for label, name in enumerate(names)
        if label
    ]
