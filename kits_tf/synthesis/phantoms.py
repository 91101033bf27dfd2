"""Simulated abdomens in Hounsfield units, in KiTS19's exact layout, for users without data.

They show that the software works from end to end. They are no evidence about real CT.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR
from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
from kits_tf.ct.volume import write_stored

FIELD_OF_VIEW_MM = 360.0
ONE_KIDNEY_PROBABILITY = 0.15
# Tissues in HU.
AIR = -1000.0
FAT = -100.0
MUSCLE = 55.0
MARROW = 180.0
BONE = 450.0

Coordinates = tuple[NDArray, NDArray, NDArray]


def write_phantom(case_dir: str | os.PathLike, number: int, spacing_zyx_mm: Spacing, seed: int) -> None:
    """Writes imaging.nii.gz (int16 HU) and segmentation.nii.gz (uint8, labels 0..2) of one phantom.

    The axes are (I, P, L) and only an sform is set, as in KiTS19. The same number and seed give the same files.
    """
    rng = np.random.default_rng([seed, number])
    hu, labels = draw_phantom(rng, spacing_zyx_mm)
    affine = kits19_affine(spacing_zyx_mm)
    write_stored(Path(case_dir) / LABELS_NAME, labels, affine)
    write_stored(Path(case_dir) / IMAGE_NAME, hu, affine)


def kits19_affine(spacing_zyx_mm: Spacing) -> NDArray[np.float64]:
    """Returns the (4, 4) affine of a KiTS19 case: axes run to inferior, posterior, left, origin at the first voxel."""
    z, y, x = spacing_zyx_mm
    return np.array([[0, 0, -x, 0], [0, -y, 0, 0], [-z, 0, 0, 0], [0, 0, 0, 1.0]])


def draw_phantom(rng: np.random.Generator, spacing_zyx_mm: Spacing) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Returns the scan (z, y, x) int16 HU and its KiTS19 labels, uint8."""
    height_mm = rng.uniform(190, 230)
    shape = [
        round(size / s) for size, s in zip((height_mm, FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM), spacing_zyx_mm, strict=True)
    ]
    z, y, x = np.meshgrid(
        *[((np.arange(n) + 0.5 - n / 2) * s).astype(np.float32) for n, s in zip(shape, spacing_zyx_mm, strict=True)],
        indexing="ij",
        sparse=True,
    )
    hu = np.full(shape, AIR, np.float32)
    labels = np.zeros(shape, np.uint8)
    _paint_trunk(rng, hu, (z, y, x))
    missing = rng.choice(["right", "left"]) if rng.random() < ONE_KIDNEY_PROBABILITY else None
    kidneys = [_place_kidney(rng, side) for side in ("right", "left") if side != missing]
    for kidney in kidneys:
        _paint_kidney(rng, hu, labels, (z, y, x), kidney)
    for kidney in kidneys[: rng.integers(1, len(kidneys) + 1)]:
        _paint_tumor(rng, hu, labels, (z, y, x), kidney)
    blurred = _blur(hu)
    return np.rint(blurred + rng.normal(0, rng.uniform(8, 16), shape)).astype(np.int16), labels


@dataclass(frozen=True, kw_only=True)
class _Kidney:
    """Where a kidney lies, in mm from the middle, and how bright its cortex is; tilt in radians."""

    center: NDArray
    radii: NDArray
    tilt: float
    cortex_hu: float


def _ellipsoid(at: Coordinates, center: NDArray, radii: NDArray, tilt: float = 0.0) -> NDArray:
    """Returns the squared distance from the center in radii: below 1 inside. Tilt (radians) turns about the y axis."""
    z, y, x = (c - center[a] for a, c in enumerate(at))
    z, x = np.cos(tilt) * z + np.sin(tilt) * x, np.cos(tilt) * x - np.sin(tilt) * z
    return (z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2


def _paint_trunk(rng: np.random.Generator, hu: NDArray, at: Coordinates) -> None:
    z, y, x = at
    half_y, half_x = rng.uniform(95, 115), rng.uniform(140, 160)

    def ring(shrink: float) -> NDArray:
        return np.broadcast_to((y / (half_y - shrink)) ** 2 + (x / (half_x - shrink)) ** 2 < 1, hu.shape)

    fat = rng.uniform(10, 22)
    hu[ring(0)] = FAT
    hu[ring(fat)] = MUSCLE
    cavity = ring(fat + 12)
    hu[cavity] = FAT
    for _ in range(10):  # bowel, in front
        center = np.array([rng.uniform(-90, 90), rng.uniform(-60, -25), rng.uniform(-90, 90)])
        hu[(_ellipsoid(at, center, rng.uniform(12, 28, 3)) < 1) & cavity] = rng.choice([-700.0, 25.0, 40.0, 60.0])
    liver = _ellipsoid(at, np.array([-70.0, -10.0, -75.0]), np.array([75.0, 65.0, 60.0]))
    hu[(liver < 1) & cavity] = rng.uniform(95, 120)
    spleen = _ellipsoid(at, np.array([-75.0, 15.0, 95.0]), np.array([45.0, 40.0, 25.0]))
    hu[(spleen < 1) & cavity] = rng.uniform(100, 120)
    aorta = np.broadcast_to((y - 18) ** 2 + (x - 10) ** 2 < 10**2, hu.shape)
    hu[aorta] = rng.uniform(180, 280)
    vertebra = np.broadcast_to(((y - 48) / 18) ** 2 + (x / 22) ** 2, hu.shape)
    disk = np.broadcast_to(np.mod(z + rng.uniform(0, 34), 34) < 7, hu.shape)
    hu[vertebra < 1] = BONE
    hu[vertebra < 0.8] = MARROW
    hu[(vertebra < 1) & disk] = 90.0
    hu[np.broadcast_to(((y - 72) / 9) ** 2 + (x / 10) ** 2 < 1, hu.shape)] = 30.0


def _place_kidney(rng: np.random.Generator, side: str) -> _Kidney:
    sign = -1 if side == "right" else 1  # x runs to the left
    center = np.array([rng.uniform(-15, 25), rng.uniform(20, 38), sign * rng.uniform(58, 76)])
    radii = np.array([rng.uniform(46, 58), rng.uniform(23, 29), rng.uniform(24, 31)])
    tilt = sign * rng.uniform(0.05, 0.3)
    return _Kidney(center=center, radii=radii, tilt=tilt, cortex_hu=rng.uniform(190, 230))


def _paint_kidney(rng: np.random.Generator, hu: NDArray, labels: NDArray, at: Coordinates, kidney: _Kidney) -> None:
    inside = _ellipsoid(at, kidney.center, kidney.radii, kidney.tilt)
    hu[inside < 1.25] = FAT  # perirenal fat
    hu[inside < 1] = kidney.cortex_hu
    hu[inside < 0.55] = kidney.cortex_hu - rng.uniform(20, 40)  # medulla, nephrographic phase
    labels[inside < 1] = CHALLENGE_KIDNEY
    if rng.random() < 0.4:  # a cyst: KiTS19 counts it as kidney
        cyst = _ellipsoid(at, _on_surface(rng, kidney), np.full(3, rng.uniform(6, 13)))
        hu[cyst < 1] = rng.uniform(0, 15)
        labels[cyst < 1] = CHALLENGE_KIDNEY


def _paint_tumor(rng: np.random.Generator, hu: NDArray, labels: NDArray, at: Coordinates, kidney: _Kidney) -> None:
    radius = rng.uniform(12, 26)
    tumor = _ellipsoid(at, _on_surface(rng, kidney), radius * rng.uniform(0.85, 1.15, 3))
    hu[tumor < 1] = rng.uniform(75, 125)
    if radius > 20:
        hu[tumor < 0.2] = rng.uniform(20, 40)  # necrosis
    labels[tumor < 1] = CHALLENGE_TUMOR


def _on_surface(rng: np.random.Generator, kidney: _Kidney) -> NDArray:
    """Returns a point on the kidney's outer half, away from the spine."""
    direction = rng.normal(size=3)
    direction[2] = np.sign(kidney.center[2]) * (abs(direction[2]) + 0.5)
    direction /= np.linalg.norm(direction)
    return kidney.center + direction * kidney.radii


def _blur(hu: NDArray) -> NDArray:
    """Returns the scan with every voxel averaged a little with its neighbors: partial volume."""
    for axis in range(3):
        padded = np.pad(hu, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (np.take(padded, range(o, o + hu.shape[axis]), axis) for o in (0, 2))
        hu = 0.7 * hu + 0.15 * (before + after)
    return hu
