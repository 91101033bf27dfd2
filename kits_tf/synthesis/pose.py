"""A body of another shape: which part of it the scan shows, and how that part is scaled, turned and bent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kits_tf.ct.geometry import Spacing, Triple
from kits_tf.ct.morphology import closing_gaps
from kits_tf.synthesis.bodies import SINUS_MM, Body
from kits_tf.synthesis.fields import smooth_noise

# How often a scan shows which part. Femora, bladder, liver and lungs are mistaken for kidneys by a network that has
# never seen them without kidneys beside them; so every part of the body occurs, and some scans show no kidney.
PARTS = {"abdomen": 0.35, "trunk": 0.25, "whole": 0.2, "chest": 0.1, "pelvis": 0.1}
# A scan without kidneys shows this much of the body, or is not made.
_LEAST_MM = 80.0
# Room for fat around the label map, in mm, altogether.
_ROOM_MM = 60.0
# A turn by up to so many degrees about z, y and x.
_DEGREES = (8.0, 4.0, 4.0)
# How often organs lie against each other and against the kidneys, without fat between, and how far they grow for it.
_LEAN_SHARE = 0.35
_LEAN_MM = (2.0, 10.0)
_SOFT = ("liver", "spleen", "pancreas", "bowel", "muscle", "adrenal")


def pose_body(rng: np.random.Generator, body: Body, spacing_mm: float) -> NDArray[np.uint8]:
    """Returns the structures (z, y, x) of a part of the body at random, on cubes of `spacing_mm`.

    The part is scaled by 0.79 to 1.28, turned by up to 8 degrees about z and 4 about the other axes, and bent by
    smooth displacements of a few millimeters.

    Args:
        rng: source of all that is random.
        body: body to pose; it is not changed.
        spacing_mm: voxel size of the result.
    """
    first, last = _field_of_view(rng, body)
    structures = body.structures[first:last]
    scale = rng.uniform(0.85, 1.2) * rng.uniform(0.93, 1.07, 3)
    sizes_mm = np.array(structures.shape) * body.spacing_mm * scale + [0, _ROOM_MM, _ROOM_MM]
    z, y, x = np.ceil(sizes_mm / spacing_mm).astype(int).tolist()
    matrix = np.diag(spacing_mm / (np.array(body.spacing_mm) * scale)) @ rotation(rng, _DEGREES)
    bends = [_BENDS.draw(rng, (z, y, x), spacing_mm) / size for size in body.spacing_mm]
    at = [place + bend for place, bend in zip(places((z, y, x), matrix, structures.shape), bends, strict=True)]
    posed = ndimage.map_coordinates(structures, at, order=0)
    return _lean(rng, body, posed, spacing_mm) if rng.random() < _LEAN_SHARE else posed


def _field_of_view(rng: np.random.Generator, body: Body) -> tuple[int, int]:
    """Returns the first plane of the body that the scan shows, and the one past its last."""
    plane_mm = body.spacing_mm[0]
    planes = np.flatnonzero(np.isin(body.structures, body.kidneys).any((1, 2)))
    count = len(body.structures)
    above_mm, below_mm = planes[0] * plane_mm, (count - 1 - planes[-1]) * plane_mm

    def drawn(low_mm: float, high_mm: float) -> int:
        return int(rng.uniform(low_mm, max(low_mm + 1, high_mm)) / plane_mm)

    part = str(rng.choice(list(PARTS), p=list(PARTS.values())))
    if part == "whole":
        return drawn(0, 30), count - drawn(0, 30)
    if part == "chest" and above_mm > _LEAST_MM:
        return drawn(0, 30), int(planes[0]) - drawn(0, 20)
    if part == "pelvis" and below_mm > _LEAST_MM + 40:
        return int(planes[-1]) + 1 + drawn(0, 20), count - drawn(0, 20)
    reach = (above_mm, below_mm) if part == "trunk" else (140.0, 140.0)
    return max(0, int(planes[0]) - drawn(20, reach[0])), min(count, int(planes[-1]) + 1 + drawn(20, reach[1]))


def _lean(rng: np.random.Generator, body: Body, structures: NDArray[np.uint8], spacing_mm: float) -> NDArray[np.uint8]:
    """Returns structures whose soft organs have grown into the fat around them, save that of a renal sinus."""
    numbers = [number for name in _SOFT for number in body.group(name)]
    soft = np.isin(structures, numbers)
    if not soft.any():
        return structures
    distance, nearest = ndimage.distance_transform_edt(~soft, sampling=spacing_mm, return_indices=True)
    sinus = closing_gaps(np.isin(structures, body.kidneys), (spacing_mm,) * 3, SINUS_MM)
    into = (structures == 0) & ~sinus & (distance <= rng.uniform(*_LEAN_MM))
    return np.where(into, structures[tuple(nearest)], structures)


def rotation(rng: np.random.Generator, degrees: Spacing) -> NDArray[np.float64]:
    """Returns the matrix (z, y, x) of a turn by up to so many degrees about z, then about y, then about x."""
    z, y, x = np.deg2rad(rng.uniform(-1, 1, 3) * degrees)
    about_z = [[1, 0, 0], [0, np.cos(z), -np.sin(z)], [0, np.sin(z), np.cos(z)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[np.cos(x), -np.sin(x), 0], [np.sin(x), np.cos(x), 0], [0, 0, 1]]
    return np.array(about_z) @ about_y @ about_x


def places(shape: Triple, matrix: NDArray[np.float64], source_shape: Sequence[int]) -> list[NDArray[np.float32]]:
    """Returns which place of the source each voxel shows: about the middles of both, in voxels of the source."""
    axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    rows = matrix.astype(np.float32)
    return [row[0] * z + row[1] * y + row[2] * x + (n - 1) / 2 for row, n in zip(rows, source_shape, strict=True)]


@dataclass(frozen=True)
class Bends:
    """Smooth displacements.

    Attributes:
        sigma_mm: least and largest sigma of the Gaussian that makes them smooth.
        size_mm: least and largest standard deviation.
    """

    sigma_mm: tuple[float, float]
    size_mm: tuple[float, float]

    def draw(self, rng: np.random.Generator, shape: Triple, spacing_mm: float) -> NDArray[np.float32]:
        """Returns the displacement in mm along one axis, of a shape (z, y, x)."""
        noise = smooth_noise(rng, shape, rng.uniform(*self.sigma_mm) / spacing_mm)
        return noise * np.float32(rng.uniform(*self.size_mm))


_BENDS = Bends((20, 44), (2.2, 6.8))
