import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kits_tf.config import WarpSettings
from kits_tf.pipeline import augment, lookup, patches, warp
from kits_tf.pipeline.augment import Augmentation, TrainingPatches
from kits_tf.pipeline.lookup import look_up
from kits_tf.pipeline.warp import AFFINE, BENT, EXACT, IN_PLANE, Warp
from kits_tf.synthesis.phantoms import draw_phantom

SIZE = (8, 10, 12)
SPACING = (3.0, 1.0, 1.5)
MIRRORED = (0, 2, 1, 3)
RNG = np.random.default_rng(0)
SHAPE = (30, 34, 38)
HU = RNG.integers(-1000, 1000, SHAPE).astype(np.int16)
LABELS = RNG.integers(0, 4, SHAPE).astype(np.uint8)
CENTER = (15, 17, 19)
CASE_ID = tf.constant("case_00000")


def fixed(matrix: np.ndarray, kind: int = AFFINE, mirrored: bool = False) -> Warp:
    return Warp(tf.constant(kind), tf.constant(matrix, tf.float32), tf.zeros([3, 0, 0, 0]), tf.constant(int(mirrored)))


def cut(found: Warp, kernel: str = "linear", size: tuple = SIZE, case: dict | None = None) -> TrainingPatches:
    case = case or {"case_id": CASE_ID, "hu": tf.constant(HU), "labels": tf.constant(LABELS)}
    return patches.cut_source(case, tf.constant(CENTER), Augmentation(found, ()), size, kernel)


def warped(found: Warp, kernel: str = "linear", size: tuple = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Returns the patch around CENTER of HU and LABELS, as training gets it."""
    image, labels = look_up(cut(found, kernel, size).source, found, size, kernel, MIRRORED)
    assert image.dtype == tf.float32 and labels.dtype == tf.uint8 and image.shape == labels.shape == size
    return image.numpy(), labels.numpy()


def unwarped(volume: np.ndarray, size: tuple = SIZE) -> np.ndarray:
    return volume[tuple(slice(c - n // 2, c - n // 2 + n) for c, n in zip(CENTER, size, strict=True))]


def by_scipy(volume: np.ndarray, found: Warp, order: int, size: tuple = SIZE) -> np.ndarray:
    """Returns the same patch by scipy.ndimage.affine_transform."""
    matrix = found.matrix.numpy().astype(float)
    middle = np.array(CENTER) - np.array(size) // 2 + (np.array(size) - 1) / 2
    offset = middle - matrix @ ((np.array(size) - 1) / 2)
    return ndimage.affine_transform(volume, matrix, offset, output_shape=size, order=order, mode="nearest")


@pytest.mark.parametrize("kind", [EXACT, IN_PLANE, AFFINE])
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_nothing_to_do_changes_nothing(kind: int, kernel: str) -> None:
    image, labels = warped(fixed(np.eye(3), kind), kernel)
    np.testing.assert_array_equal(image, unwarped(HU))
    np.testing.assert_array_equal(labels, unwarped(LABELS))


@pytest.mark.parametrize("kind", [EXACT, IN_PLANE, AFFINE])
@pytest.mark.parametrize("signs", [(1, 1, -1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_mirror_images_are_exact_and_along_x_sides_swap(kind: int, signs: tuple) -> None:
    image, labels = warped(fixed(np.diag(signs), kind, mirrored=signs[2] < 0))
    turned = tuple(slice(None, None, sign) for sign in signs)
    np.testing.assert_array_equal(image, unwarped(HU)[turned])
    expected = unwarped(LABELS)[turned]
    np.testing.assert_array_equal(labels, np.array(MIRRORED)[expected] if signs[2] < 0 else expected)


@pytest.mark.parametrize(
    ("matrix", "kind", "axes"),
    [
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], IN_PLANE, (1, 2)),
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], AFFINE, (1, 2)),
        ([[0, 0, -1], [0, 1, 0], [1, 0, 0]], AFFINE, (0, 2)),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], AFFINE, (0, 1)),
    ],
)
@pytest.mark.parametrize("size", [(9, 9, 9), (8, 8, 8)])
def test_a_quarter_turn_is_an_exact_permutation(matrix: list, kind: int, axes: tuple, size: tuple) -> None:
    image, labels = warped(fixed(np.array(matrix), kind), size=size)
    np.testing.assert_array_equal(image, np.rot90(unwarped(HU, size), -1, axes=axes))
    np.testing.assert_array_equal(labels, np.rot90(unwarped(LABELS, size), -1, axes=axes))


ONE_AXIS = {
    "about z": WarpSettings(rotation_probability=1, rotation_zyx_degrees=(40.0, 0.0, 0.0), scale_probability=0),
    "about y": WarpSettings(rotation_probability=1, rotation_zyx_degrees=(0.0, 40.0, 0.0), scale_probability=0),
    "about x": WarpSettings(rotation_probability=1, rotation_zyx_degrees=(0.0, 0.0, 40.0), scale_probability=0),
    "scale": WarpSettings(rotation_probability=0, scale_probability=1),
    "scale of axes": WarpSettings(rotation_probability=0, scale_probability=0, axis_scale_probability=1),
    "all": WarpSettings(rotation_probability=1, scale_probability=1, axis_scale_probability=1),
}


@pytest.mark.parametrize("settings", ONE_AXIS.values(), ids=ONE_AXIS)
@pytest.mark.parametrize("seed", [3, 4])
def test_equals_scipys_affine_transform(settings: WarpSettings, seed: int) -> None:
    found = warp.sample_warp(tf.constant([seed, 6]), settings, SIZE, SPACING)
    assert found.kind != EXACT
    image, labels = warped(found)
    np.testing.assert_allclose(image, by_scipy(HU.astype(float), found, 1), atol=0.05)
    nearest = by_scipy(LABELS, found, 0)
    nearest = np.array(MIRRORED)[nearest] if found.mirrored else nearest
    assert (labels == nearest).mean() > 0.998  # halves may round either way


def keys(distance: np.ndarray) -> np.ndarray:
    """Returns the kernel of cubic convolution with a = -1/2, as Keys wrote it."""
    s, a = np.abs(distance), -0.5
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
    return np.where(s < 1, near, np.where(s < 2, far, 0))


@pytest.mark.parametrize("settings", [ONE_AXIS["about z"], ONE_AXIS["all"]], ids=["in plane", "all"])
def test_cubic_is_keys_convolution(settings: WarpSettings) -> None:
    found = warp.sample_warp(tf.constant([3, 6]), settings, SIZE, SPACING)
    image, labels = warped(found, "cubic")
    matrix = found.matrix.numpy().astype(float)
    middle = np.array(CENTER) - np.array(SIZE) // 2 + (np.array(SIZE) - 1) / 2
    for index in np.ndindex(*SIZE):
        if sum(index) % 7:
            continue
        place = middle + matrix @ (np.array(index) - (np.array(SIZE) - 1) / 2)
        weights = [keys(p - np.arange(n)) for p, n in zip(place, SHAPE, strict=True)]
        assert image[index] == pytest.approx(np.einsum("zyx,z,y,x", HU.astype(float), *weights), abs=0.05)
    np.testing.assert_array_equal(labels, warped(found, "linear")[1])


def test_cubic_magnification_is_tensorflows_bicubic() -> None:
    size = (4, 12, 12)
    found = fixed(np.diag([1, 0.5, 0.5]), IN_PLANE)
    image, _ = warped(found, "cubic", size)
    rows, columns = (slice(c - 12 // 2, c - 12 // 2 + 12) for c in CENTER[1:])
    larger = tf.image.resize(HU[13:17, rows, columns, None].astype(np.float32), (24, 24), "bicubic")[..., 0]
    np.testing.assert_allclose(image[:, 3:-3, 3:-3], larger[:, 9:15, 9:15], atol=0.02)


def test_a_bent_patch_is_scipys() -> None:
    settings = WarpSettings(
        rotation_probability=1, scale_probability=0, elastic_probability=1, elastic_mm=3, elastic_spacing_mm=9
    )
    found = warp.sample_warp(tf.constant([1, 1]), settings, SIZE, SPACING)
    assert found.kind == BENT
    image, labels = warped(found)
    bend = found.bend.numpy().astype(float)
    for size in SIZE:
        bend = np.tensordot(bend, warp.spline_matrix(size, bend.shape[1]), ([1], [1]))
    offsets = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SIZE], indexing="ij"))
    middle = np.array(CENTER) - np.array(SIZE) // 2 + (np.array(SIZE) - 1) / 2
    places = np.tensordot(found.matrix.numpy().astype(float), offsets, 1) + bend + middle[:, None, None, None]
    np.testing.assert_allclose(image, ndimage.map_coordinates(HU.astype(float), places, order=1), atol=0.05)
    nearest = ndimage.map_coordinates(LABELS, places, order=0)
    nearest = np.array(MIRRORED)[nearest] if found.mirrored else nearest
    assert (labels == nearest).mean() > 0.998


def test_labels_get_no_new_value_and_an_image_of_them_stays_aligned() -> None:
    _, labels = draw_phantom(np.random.default_rng(0), (6.0, 4.0, 4.0))
    kidneys = np.isin(labels, (1, 2)).astype(np.uint8) * 3
    case = {"case_id": CASE_ID, "hu": tf.constant(kidneys.astype(np.int16) * 100), "labels": tf.constant(kidneys)}
    size = (24, 40, 40)
    center = tf.constant([int(c) for c in np.argwhere(kidneys).mean(axis=0)])
    for seed in range(4):
        found = warp.sample_warp(tf.constant([seed, 0]), ONE_AXIS["all"], size, (6.0, 4.0, 4.0))
        cut_out = patches.cut_source(case, center, Augmentation(found, ()), size, "linear")
        image, moved = (part.numpy() for part in look_up(cut_out.source, found, size, "linear", MIRRORED))
        assert set(np.unique(moved)) <= {0, 3}
        both, either = (image > 150) & (moved > 0), (image > 150) | (moved > 0)
        assert both.sum() / either.sum() > 0.95 and both.sum() > 200
        gap = ndimage.center_of_mass(image > 150) - np.array(ndimage.center_of_mass(moved > 0))
        assert np.abs(gap).max() < 0.2


def test_what_a_batch_pads_a_source_with_does_not_count() -> None:
    settings = [
        WarpSettings(rotation_probability=0, scale_probability=0),
        ONE_AXIS["all"],
        ONE_AXIS["about z"],
        WarpSettings(rotation_probability=1, rotation_zyx_degrees=(80.0, 60.0, 60.0), scale_probability=1),
    ]
    found = [warp.sample_warp(tf.constant([9, i]), s, SIZE, SPACING) for i, s in enumerate(settings)]
    cut_out = [cut(w) for w in found]
    ragged = tf.data.Dataset.from_generator(
        lambda: iter([(c.source, w) for c, w in zip(cut_out, found, strict=True)]),
        output_signature=(
            lookup.Source(
                tf.TensorSpec([None], tf.int16),
                tf.TensorSpec([None], tf.uint8),
                tf.TensorSpec([3], tf.int32),
                tf.TensorSpec([3], tf.float32),
            ),
            tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), found[0]),
        ),
    )
    (source, warps) = next(iter(ragged.padded_batch(4)))
    assert len({len(c.source.hu) for c in cut_out}) > 1  # of different lengths
    for i, (c, w) in enumerate(zip(cut_out, found, strict=True)):
        padded = look_up(*augment.example((source, warps), i), SIZE, "linear", MIRRORED)
        alone = look_up(c.source, w, SIZE, "linear", MIRRORED)
        np.testing.assert_allclose(padded[0], alone[0], rtol=0, atol=1e-3)
        np.testing.assert_array_equal(padded[1], alone[1])


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_compiled_or_not_the_result_is_the_same(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = warp.sample_warp(tf.constant([9, 1]), ONE_AXIS["all"], SIZE, SPACING)
    compiled = warped(found, kernel)
    monkeypatch.setattr(lookup, "compiled", functools.partial(tf.function, autograph=False))
    for cached in (lookup._volume_loop, lookup._swap):
        cached.cache_clear()
    plain = warped(found, kernel)
    for cached in (lookup._volume_loop, lookup._swap):
        cached.cache_clear()
    np.testing.assert_allclose(plain[0], compiled[0], rtol=0, atol=0.01)
    np.testing.assert_array_equal(plain[1], compiled[1])
