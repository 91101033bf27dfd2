"""What labels mean: the schemes, and the way from the challenge's labels to a scheme and back.

The challenge has 0 background, 1 kidney, 2 tumor; KiTS21 and KiTS23 also 3 cyst, which in KiTS19 is part of 1.
The default scheme here tells the kidneys apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.ct.geometry import Spacing, bounding_box
from kits_tf.ct.sides import SideDecision, right_side

CHALLENGE_CLASSES = ("background", "kidney", "tumor", "cyst")
CHALLENGE_KIDNEY = CHALLENGE_CLASSES.index("kidney")
CHALLENGE_TUMOR = CHALLENGE_CLASSES.index("tumor")
CHALLENGE_CYST = CHALLENGE_CLASSES.index("cyst")


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A set of labels.

    Attributes:
        name: value of `--label_scheme`.
        cyst_as: treatment of the challenge's cysts: "kidney", "background", or "class", a class of their own, the
            last one.
        classes: class names; the index is the label.
        mirrored: the label that each label becomes when a volume is flipped along x.
        challenge: the KiTS19 label of each label; a cyst is kidney there.
    """

    name: str
    cyst_as: str
    classes: tuple[str, ...]
    mirrored: tuple[int, ...]
    challenge: tuple[int, ...]

    @property
    def has_sides(self) -> bool:
        """Whether right and left kidney are labels of their own."""
        return "right_kidney" in self.classes

    def to_challenge(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the labels in KiTS19's scheme.

        Raises:
            InputError: a label is not of this scheme.
        """
        check_labels(labels, len(self.classes), f"labels of scheme {self.name}")
        return np.array(self.challenge, np.uint8)[labels]


LATERALITY = Scheme(
    name="laterality",
    cyst_as="kidney",
    classes=("background", "right_kidney", "left_kidney", "tumor"),
    mirrored=(0, 2, 1, 3),
    challenge=(0, CHALLENGE_KIDNEY, CHALLENGE_KIDNEY, CHALLENGE_TUMOR),
)
KITS19 = Scheme(
    name="kits19",
    cyst_as="kidney",
    classes=("background", "kidney", "tumor"),
    mirrored=(0, 1, 2),
    challenge=(0, CHALLENGE_KIDNEY, CHALLENGE_TUMOR),
)
# By name, without a class for cysts.
_SCHEMES = {scheme.name: scheme for scheme in (LATERALITY, KITS19)}


def find_scheme(name: str, cyst_as: str = "kidney") -> Scheme:
    """Returns a scheme by its name, "laterality" or "kits19", with or without a class for cysts.

    Raises:
        KeyError: there is no scheme of this name.
    """
    scheme = replace(_SCHEMES[name], cyst_as=cyst_as)
    if cyst_as != "class":
        return scheme
    return replace(
        scheme,
        classes=(*scheme.classes, "cyst"),
        mirrored=(*scheme.mirrored, len(scheme.classes)),
        challenge=(*scheme.challenge, CHALLENGE_KIDNEY),
    )


class SchemeSettings(Protocol):
    """Any settings that choose a scheme, as `GridSettings` do."""

    @property
    def label_scheme(self) -> str:
        """Name of the scheme."""

    @property
    def cyst_as(self) -> str:
        """What becomes of cysts."""


def scheme_of(settings: SchemeSettings) -> Scheme:
    """Returns the scheme that settings choose by --label_scheme and --cyst_as."""
    return find_scheme(settings.label_scheme, settings.cyst_as)


def scheme_with_classes(classes: tuple[str, ...]) -> Scheme:
    """Returns the scheme that has these classes, background first.

    Raises:
        InputError: there is none.
    """
    for name in _SCHEMES:
        for cyst_as in ("kidney", "class"):
            if find_scheme(name, cyst_as).classes == classes:
                return find_scheme(name, cyst_as)
    raise InputError(f"expected labels of a scheme of kits_tf, found {', '.join(classes)}")


# The challenge scores these unions of its labels; "kidney" includes the tumors in it.
CHALLENGE_REGIONS = {"kidney": (CHALLENGE_KIDNEY, CHALLENGE_TUMOR), "tumor": (CHALLENGE_TUMOR,)}


def region_labels(scheme: Scheme) -> dict[str, list[int]]:
    """Returns which labels of a scheme each of CHALLENGE_REGIONS is the union of."""
    return {
        region: [label for label, official in enumerate(scheme.challenge) if official in members]
        for region, members in CHALLENGE_REGIONS.items()
    }


def check_labels(labels: NDArray[np.uint8], num_classes: int, name: str) -> None:
    """Raises InputError if a label is not in 0..num_classes - 1; the message starts with `name`."""
    if labels.size and labels.max() >= num_classes:
        present = np.flatnonzero(np.bincount(labels.ravel(), minlength=num_classes)).tolist()
        raise InputError(f"{name}: expected labels 0..{num_classes - 1}, found {present}")


def count_labels(labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Returns the voxels of each class, (num_classes,), of labels (z, y, x) below num_classes."""
    inside = labels[bounding_box(labels)]
    counts = np.bincount(inside.ravel(), minlength=num_classes)
    counts[0] += labels.size - inside.size
    return counts


def volumes_ml(labels: NDArray[np.uint8], classes: Sequence[str], spacing_mm: Spacing) -> dict[str, float]:
    """Returns the volume of each class but background, by name.

    Args:
        labels: labels of a scan, with axes in any order.
        classes: names of the labels 0, 1, ...
        spacing_mm: voxel sizes, in any order.
    """
    milliliters = count_labels(labels, len(classes)) * float(np.prod(spacing_mm)) / 1000
    return dict(zip(classes[1:], milliliters[1:].tolist(), strict=True))


def from_challenge(
    labels: NDArray[np.uint8], scheme: Scheme, hu: NDArray[np.int16], spacing_mm: Spacing
) -> tuple[NDArray[np.uint8], SideDecision | None]:
    """Returns the challenge's labels in a scheme, and how left and right were decided; no voxel is lost or gained.

    Args:
        labels: (z, y, x) uint8 in (I, P, L), values 0..3.
        scheme: the scheme to return.
        hu: int16 scan on the same grid; it finds the midline where two kidneys cannot.
        spacing_mm: voxel sizes (z, y, x).

    Returns:
        labels: (z, y, x) uint8 labels of the scheme.
        decision: None where nothing had to be decided: a scheme without sides, or a mask without foreground.

    Raises:
        InputError: a label is above 3.
    """
    check_labels(labels, len(CHALLENGE_CLASSES), "challenge labels")
    result = np.zeros_like(labels)
    labeled = bounding_box(labels)
    result[labeled] = challenge_to(scheme)[labels[labeled]]
    if not scheme.has_sides or not result.any():
        return result, None
    box = bounding_box(result)
    inside = result[box]
    is_kidney = (inside > 0) & (inside != scheme.classes.index("tumor"))
    is_right, decision = right_side(inside > 0, is_kidney, hu[box[0]], box[2].start, spacing_mm)
    inside[(inside == scheme.classes.index("left_kidney")) & is_right] = scheme.classes.index("right_kidney")
    return result, decision


def with_sides(
    labels: NDArray[np.uint8], scheme: Scheme, hu: NDArray[np.int16], spacing_mm: Spacing
) -> tuple[NDArray[np.uint8], Scheme]:
    """Returns labels of any scheme in the scheme that has sides and the same cysts, and that scheme.

    This is the only rule for it: labels that have sides stay as they are, all others get theirs from geometry.

    Args:
        labels: (z, y, x) uint8 labels of `scheme`, in (I, P, L).
        scheme: scheme of the labels.
        hu: int16 scan on the same grid; it finds the midline where two kidneys cannot.
        spacing_mm: voxel sizes (z, y, x).
    """
    if scheme.has_sides:
        return labels, scheme
    sided = find_scheme(LATERALITY.name, scheme.cyst_as)
    return from_challenge(challenge_lookup(scheme.classes)[labels], sided, hu, spacing_mm)[0], sided


def challenge_lookup(classes: tuple[str, ...]) -> NDArray[np.uint8]:
    """Returns the challenge's label of each class, (classes,) uint8; a cyst is 3, as in KiTS21 and KiTS23."""
    names = [name.removeprefix("right_").removeprefix("left_") for name in classes]
    return np.array([CHALLENGE_CLASSES.index(name) for name in names], np.uint8)


def challenge_to(scheme: Scheme) -> NDArray[np.uint8]:
    """Returns a scheme's label of each challenge label 0..3, (4,) uint8; with sides, a kidney is a left one."""
    kidney = "left_kidney" if "left_kidney" in scheme.classes else "kidney"
    cyst = {"kidney": kidney, "background": "background", "class": "cyst"}[scheme.cyst_as]
    return np.array([scheme.classes.index(name) for name in ("background", kidney, "tumor", cyst)], np.uint8)
