"""Writes what tensorflow-addons makes of small inputs to tests/golden/addons.npz: inputs, parameters and results.

Run as PYTHONPATH=. .venv-addons/bin/python tests_addons/freeze.py, with the environment that `make test-addons` makes.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "addons.npz"

PATCH = (3, 18, 20)
# Voxels of one parity with the patch, whose middle is then the volume's; no warp below looks beyond them.
VOLUME = (5, 36, 40)
SIGMAS = (0.5, 0.8, 1.0, 2.0)
ALPHAS = (0.25, 0.5, 0.9)
GAMMAS = (0.0, 0.5, 1.0, 2.0)


def findings(seed: int) -> dict[str, NDArray]:
    """Returns inputs and tensorflow-addons' results by name; another seed draws other inputs."""
    rng = np.random.default_rng(seed)
    return {**_warps(rng), **_blurs(rng), **_resamplings(rng), **_losses(rng)}


def _warps(rng: np.random.Generator) -> dict[str, NDArray]:
    hu = rng.integers(-1000, 1000, VOLUME).astype(np.int16)
    labels = rng.integers(0, 4, VOLUME).astype(np.uint8)
    degrees = np.array([90.0, *rng.uniform(-180, 180, 4)], np.float32)
    flips = np.stack([np.diag(signs) for signs in ((-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0))]).astype(np.float32)
    mixed = np.stack([np.diag([1.1, 0.7]), *(_mixed(rng) for _ in range(3))]).astype(np.float32)
    found: dict[str, NDArray] = {"hu": hu, "labels": labels, "degrees": degrees, "flips": flips, "mixed": mixed}
    for name, volume, interpolation in (
        ("image", hu.astype(np.float32), "bilinear"),
        ("labels", labels, "nearest"),
    ):
        slices = tf.constant(volume[..., None])
        turned = [tfa.image.rotate(slices, angle, interpolation) for angle in np.deg2rad(degrees)]
        found[f"rotated_{name}"] = _patches(turned)
        for which in ("flips", "mixed"):
            moved = [tfa.image.transform(slices, _about_middle(m), interpolation) for m in found[which]]
            found[f"{which}_{name}"] = _patches(moved)
    return found


def _mixed(rng: np.random.Generator) -> NDArray:
    """Returns a rotation, a magnification of each axis and, in half of all cases, a flip along x; axes (y, x)."""
    angle = rng.uniform(-np.pi, np.pi)
    zoom = rng.uniform(0.7, 1.2, 2) * (1, rng.choice([-1, 1]))
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom


def _about_middle(matrix: NDArray) -> list[float]:
    """Returns tensorflow-addons' transform of a slice, x before y, for a matrix of offsets (y, x) from its middle."""
    middle = (np.array(VOLUME[1:]) - 1) / 2
    (yy, yx), (xy, xx) = matrix
    shift_y, shift_x = middle - matrix @ middle
    return [xx, xy, shift_x, yx, yy, shift_y, 0.0, 0.0]


def _patches(volumes: list[tf.Tensor]) -> NDArray:
    """Returns what lies in the middle: (volumes, *PATCH)."""
    z, y, x = (slice((n - size) // 2, (n + size) // 2) for n, size in zip(VOLUME, PATCH, strict=True))
    return np.stack(volumes)[:, z, y, x, 0]


def _blurs(rng: np.random.Generator) -> dict[str, NDArray]:
    image = rng.normal(size=(9, 14, 16)).astype(np.float32)
    return {
        "sharp": image,
        "sigmas": np.array(SIGMAS, np.float32),
        "blurred": np.stack([_blur(image, sigma) for sigma in SIGMAS]),
    }


def _blur(image: NDArray, sigma: float) -> NDArray:
    """Returns a volume blurred along all axes: slice by slice, then along z; beyond the border as at the border."""
    radius = int(4 * sigma + 0.5)
    width = 2 * radius + 1
    padded = np.pad(image, radius, mode="edge")  # that far, tensorflow-addons' own padding does not show
    in_plane = tfa.image.gaussian_filter2d(padded[..., None], (width, width), sigma)
    y_first = tf.transpose(in_plane, [1, 0, 2, 3])
    along_z = tfa.image.gaussian_filter2d(y_first, (width, 1), sigma)
    inside = slice(radius, -radius)
    return np.transpose(along_z[..., 0], [1, 0, 2])[inside, inside, inside]


def _resamplings(rng: np.random.Generator) -> dict[str, NDArray]:
    scan = rng.integers(-1000, 1000, (4, 18, 22)).astype(np.int16)
    sizes = {"finer": (27, 31), "coarser": (13, 10), "finer_and_coarser": (40, 11)}
    return {"scan": scan, **{f"resampled_{name}": _resample(scan, size) for name, size in sizes.items()}}


def _resample(scan: NDArray, size: tuple[int, int]) -> NDArray:
    """Returns slices on another grid over the same box: the box, not the first voxel's center, keeps its place."""
    ratio_y, ratio_x = np.array(scan.shape[1:]) / size
    transform = [ratio_x, 0.0, (ratio_x - 1) / 2, 0.0, ratio_y, (ratio_y - 1) / 2, 0.0, 0.0]
    slices = scan.astype(np.float32)[..., None]
    return tfa.image.transform(slices, transform, "bilinear", "nearest", output_shape=size).numpy()[..., 0]


def _losses(rng: np.random.Generator) -> dict[str, NDArray]:
    logits = rng.normal(scale=4, size=200).astype(np.float32)
    classes = rng.integers(0, 2, 200).astype(np.uint8)
    grid = np.array([(alpha, gamma) for alpha in ALPHAS for gamma in GAMMAS], np.float32)
    focal = [tfa.losses.SigmoidFocalCrossEntropy(from_logits=True, alpha=a, gamma=g) for a, g in grid.tolist()]
    losses = np.stack([loss(classes[:, None], logits[:, None]) for loss in focal])
    return {"logits": logits, "classes": classes, "alphas_and_gammas": grid, "losses": losses}


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **findings(0))
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")
