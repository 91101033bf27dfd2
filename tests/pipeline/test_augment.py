"""Augmentation as a whole: where its operations can run, and what it says of itself."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import no_warp
from tensorflow.python.framework import kernels

from kits_tf.config import AppearanceSettings, PatchSettings, WarpSettings
from kits_tf.pipeline import augment, dataset, preview
from kits_tf.pipeline.appearance import EFFECTS, Appearance
from kits_tf.pipeline.augment import Augmentation, TrainingPatches
from kits_tf.pipeline.dataset import BatchPlan
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.pipeline.warp import BENT, IN_PLANE, rotation_matrix
from kits_tf.pipeline.xla import compiled

SIZE = (6, 8, 10)
SPACING = (12.0, 10.0, 10.0)
MIRRORED = (0, 2, 1, 3)
# They move data about, and TensorFlow places them anywhere.
PLACELESS = {"Placeholder", "Const", "Identity", "IdentityN", "NoOp", "_Arg", "_Retval"}


@pytest.fixture(scope="module")
def batch(records_dir: Path) -> TrainingPatches:
    shards = Manifest.read(records_dir).shard_paths("train", records_dir)
    return next(iter(dataset.training_patches(shards, recipe(), SPACING, BatchPlan(batch_size=3, seed=0))))


def recipe(kernel: str = "linear") -> PatchRecipe:
    patches = PatchSettings(patch_size_zyx=SIZE, shuffle_patches=1, foreground_fraction=1.0)
    warp = WarpSettings(rotation_probability=0.5, elastic_probability=0.5, warp_kernel=kernel)
    return PatchRecipe(patches=patches, warp=warp, appearance=AppearanceSettings(random_convolution_probability=0.2))


def augmented(batch: TrainingPatches, kernel: str = "linear") -> tuple[tf.Tensor, tf.Tensor]:
    return augment.augment_batch(batch, recipe(kernel), MIRRORED)


def operations(graph: tf.Graph) -> Iterator[tuple[str, dict]]:
    """Yields the type and attributes of each operation of a graph and of the functions that it calls."""
    definition = graph.as_graph_def(add_shapes=True)
    for node in definition.node:
        yield node.op, dict(node.attr)
    for function in definition.library.function:
        for node in function.node_def:
            yield node.op, dict(node.attr)


def voxels(attributes: dict) -> int:
    """Returns the elements of the largest output of an operation; 0 if the graph does not know them."""
    shapes = attributes["_output_shapes"].list.shape if "_output_shapes" in attributes else []
    return max((int(np.prod([d.size for d in shape.dim])) for shape in shapes if not shape.unknown_rank), default=0)


@functools.cache
def registered_kernels(operation: str) -> list:
    return list(kernels.get_registered_kernels_for_op(operation).kernel)


def runs_on_gpu(operation: str, attributes: dict) -> bool:
    """Returns whether a GPU kernel is registered for an operation with these types."""
    for kernel in registered_kernels(operation):
        fits = all(
            attributes[rule.name].type in rule.allowed_values.list.type
            for rule in kernel.constraint
            if rule.name in attributes and attributes[rule.name].type
        )
        if kernel.device_type in ("GPU", "DEFAULT") and fits:
            return True
    return False


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_every_operation_has_a_gpu_kernel_for_its_types(batch: TrainingPatches, kernel: str) -> None:
    concrete = tf.function(augmented, autograph=False).get_concrete_function(batch, kernel)
    found = [(name, attributes) for name, attributes in operations(concrete.graph) if name not in PLACELESS]
    names = {name for name, _ in found}
    assert max(voxels(attributes) for _, attributes in found) >= np.prod(SIZE)
    assert {"GatherV2", "MatMul", "Log", "StatelessRandomNormalV2"} <= names  # the functions within are there
    for name, attributes in found:
        types = {key: tf.dtypes.as_dtype(value.type).name for key, value in attributes.items() if value.type}
        assert runs_on_gpu(name, attributes), f"{name} of {types} has no GPU kernel"
        # Kernels for int32 are there, but most work in the processor's memory.
        assert types.get("T") != "int32" or voxels(attributes) < np.prod(SIZE), f"{name} of int32 leaves the GPU"


def test_the_registry_tells_what_has_none() -> None:
    int16, float32 = (tf.raw_ops.GatherV2, tf.constant([1], tf.int16)), (tf.raw_ops.GatherV2, tf.constant([1.0]))
    found = []
    for _, values in (int16, float32):
        graph = tf.function(lambda v: tf.gather(v, [0]), autograph=False).get_concrete_function(values).graph
        found.append(all(runs_on_gpu(name, a) for name, a in operations(graph) if name not in PLACELESS))
    assert found == [False, True]


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_a_batch_equals_its_examples(batch: TrainingPatches, kernel: str) -> None:
    images, labels = augmented(batch, kernel)
    for i in range(3):
        alone = augmented(augment.example(batch, slice(i, i + 1)), kernel)
        np.testing.assert_allclose(alone[0][0], images[i], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(alone[1][0], labels[i])


def test_a_compiled_step_augments_as_an_eager_one(batch: TrainingPatches) -> None:
    # Noise and random networks are others when compiled.
    repeats = tf.constant([name not in ("noise_std", "convolved") for name in EFFECTS])
    silent = batch.augmentation.appearance
    silent = silent._replace(parameters=tf.where(repeats, silent.parameters, 0.0))
    batch = batch._replace(augmentation=batch.augmentation._replace(appearance=silent))
    eager = augmented(batch)
    in_graph = tf.function(augmented, autograph=False)(batch)
    by_xla = tf.function(augmented, autograph=False, jit_compile=True)
    compiled_alone = [by_xla(augment.example(batch, slice(i, i + 1))) for i in range(3)]  # compiled once for all three
    images, labels = (tf.concat(parts, axis=0) for parts in zip(*compiled_alone, strict=True))
    for found in (in_graph, (images, labels)):
        np.testing.assert_allclose(found[0], eager[0], rtol=0, atol=2e-3)
        np.testing.assert_array_equal(found[1], eager[1])


def test_the_graph_of_a_step_does_not_grow_with_the_batch(batch: TrainingPatches) -> None:
    sizes = []
    for count in (1, 3):
        part = augment.example(batch, slice(count))
        graph = tf.function(augmented, autograph=False).get_concrete_function(part).graph
        sizes.append(sum(1 for _ in operations(graph)))
    assert sizes[0] > 1000 and sizes[1] - sizes[0] < 20


def test_it_replays_exactly(batch: TrainingPatches) -> None:
    for first, second in zip(augmented(batch), augmented(batch), strict=True):
        np.testing.assert_array_equal(first, second)


def test_without_a_gpu_the_loops_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(lambda x: x)._jit_compile is True
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["/gpu:0"])
    assert compiled(lambda x: x)._jit_compile is False


def appearance(**parameters: float) -> Appearance:
    values = {name: effect.neutral for name, effect in EFFECTS.items()} | parameters
    return Appearance(tf.constant(list(values.values())), tf.constant([1, 2]))


def test_what_happens_can_be_printed() -> None:
    angles = tf.constant(np.deg2rad([20.0, 0.0, 0.0]), tf.float32)
    spacing = np.array(SPACING)
    turned = rotation_matrix(angles).numpy() * spacing / spacing[:, None]
    grays = appearance(convolved=0.3, noise_std=0.2, contrast=0.9, gamma=1.25)
    warp = no_warp()._replace(kind=tf.constant(IN_PLANE), matrix=tf.constant(turned / 0.8 * [1, 1, -1], tf.float32))
    words = preview.describe(Augmentation(warp, grays), SPACING)
    of_grays = "convolved 0.30, noise std 0.20, contrast 0.90, gamma 1.25"
    assert words == f"turned 20°, magnified 0.80, mirrored along x, {of_grays}"
    stretched = warp._replace(kind=tf.constant(BENT), matrix=tf.constant(np.diag([1, 0.5, 2]), tf.float32))
    words = preview.describe(Augmentation(stretched, appearance(contrast=0.9, resolution=0.5)), SPACING)
    assert words == "magnified 1.00 2.00 0.50, bent, contrast 0.90, resolution 0.50"
