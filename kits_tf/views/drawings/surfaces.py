"""Surfaces of a mask as seen from the front and from the left: rays through voxels, shaded by Lambert's law."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import as_tensor, resample
from kits_tf.views.drawings import style

PIXEL_MM = 1.5
# Steps between slices and pixels are smoothed away.
_SMOOTHING_MM = 1.5
# Kidneys let a tumor behind them shine through.
_KIDNEY_OPACITY = 0.45
_AMBIENT = 0.25
_INSIDE = 1000  # int16 stands for the share of a voxel that is inside


@dataclass(frozen=True)
class View:
    """A direction of view; its picture has the rows and columns of the `Plane` with the same axis.

    Attributes:
        name: name for people, as in "from the front".
        axis: index of the volume's axis along which the rays run.
        from_end: whether they start at its last index.
    """

    name: str
    axis: int
    from_end: bool


VIEWS = (View("from the front", 1, False), View("from the left", 2, True))


def draw_surfaces(labels: NDArray[np.uint8], scheme: Scheme, spacing_mm: Spacing) -> dict[str, NDArray[np.float32]]:
    """Returns a picture for each view's name.

    Args:
        labels: (z, y, x) uint8 in (I, P, L).
        scheme: scheme of the labels.
        spacing_mm: voxel sizes (z, y, x).

    Returns:
        (height, width, 3) float32, 0..1, in pixels of PIXEL_MM; black where there is no structure.
    """
    insides = {
        name: _smooth(labels == label, spacing_mm)
        for label, name in enumerate(scheme.classes)
        if label and (labels == label).any()
    }
    shape = tuple(max(1, round(n * s / PIXEL_MM)) for n, s in zip(labels.shape, spacing_mm, strict=True))
    return {view.name: _draw(insides, view, shape) for view in VIEWS}


def _smooth(mask: NDArray[np.bool_], spacing_mm: Spacing) -> NDArray[np.float32]:
    """Returns the mask on voxels of PIXEL_MM, smoothed, float32: above 0 inside, -0.5 far outside."""
    shape = [max(1, round(n * s / PIXEL_MM)) for n, s in zip(mask.shape, spacing_mm, strict=True)]
    share = resample(as_tensor(mask.astype(np.int16) * np.int16(_INSIDE)), shape, "linear").numpy()
    return ndimage.gaussian_filter(share / np.float32(_INSIDE), _SMOOTHING_MM / PIXEL_MM, mode="constant") - 0.5


def _draw(insides: dict[str, NDArray[np.float32]], view: View, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns the picture of a view, nearer structures over farther ones."""
    size = tuple(n for axis, n in enumerate(shape) if axis != view.axis)
    depths: list[NDArray] = []
    colors: list[NDArray] = []
    opacities: list[NDArray] = []
    for name, inside in insides.items():
        depth, shade = _first_surface(inside, view)
        depths.append(depth)
        colors.append(shade[..., None] * np.array(style.rgb(name), np.float32))
        opacities.append(np.where(np.isfinite(depth), _KIDNEY_OPACITY if "kidney" in name else 1.0, 0.0))
    picture = np.zeros((*size, 3), np.float32)
    if not depths:
        return picture
    farthest_first = np.argsort(-np.stack(depths), axis=0)
    for order in farthest_first:
        color = np.take_along_axis(np.stack(colors), order[None, ..., None], axis=0)[0]
        opacity = np.take_along_axis(np.stack(opacities), order[None], axis=0)[0][..., None]
        # A translucent surface with nothing behind it is as bright as an opaque one.
        behind = picture.any(axis=-1, keepdims=True)
        opacity = np.where(behind | (opacity == 0), opacity, 1.0)
        picture = opacity * color + (1 - opacity) * picture
    return picture.astype(np.float32)


def _first_surface(inside: NDArray[np.float32], view: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns each ray's way to the surface in pixels, inf where it meets none, and the surface's brightness, 0..1."""
    rays = np.moveaxis(inside, view.axis, 0)
    rays = np.pad(rays[::-1] if view.from_end else rays, 1, constant_values=-0.5)
    hit = (rays > 0).argmax(axis=0)
    rows, columns = np.indices(hit.shape)
    met = rays[hit, rows, columns] > 0
    hit = hit[met]
    rows, columns = rows[met], columns[met]
    here, before = rays[hit, rows, columns], rays[hit - 1, rows, columns]
    depth = np.full(met.shape, np.inf, np.float32)
    depth[met] = hit - here / (here - before)
    across = [rays[hit, rows + i, columns + j] - rays[hit, rows - i, columns - j] for i, j in ((1, 0), (0, 1))]
    slope = np.stack([2 * (here - before), *across])
    shade = np.zeros(met.shape, np.float32)
    shade[met] = _AMBIENT + (1 - _AMBIENT) * slope[0] / np.maximum(np.linalg.norm(slope, axis=0), 1e-6)
    inner = slice(1, -1), slice(1, -1)
    return depth[inner], shade[inner]
