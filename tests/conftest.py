"""Fixtures: a tiny data set, its records, a tiny trained run and its export, each made once; and how tests are run."""

import itertools
import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from running import longest_first, shared_folder, time_limit

from kits_tf import config, convert, export, phantom, train
from kits_tf.base.startup import start_tensorflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from kits_tf.inference.model import Model
    from kits_tf.inference.segmenter import Segmenter

start_tensorflow()

import tensorflow as tf  # noqa: E402

from kits_tf.inference.restoration import Restoration, labels_output  # noqa: E402
from kits_tf.network.architecture import make_architecture  # noqa: E402
from kits_tf.pipeline.manifest import Manifest  # noqa: E402
from kits_tf.pipeline.warp import EXACT, Warp  # noqa: E402
from kits_tf.training.plan import TrainingPlan  # noqa: E402

# No time limit for an example: the machine may be busy, and the first one traces a graph.
hypothesis_settings.register_profile("fast", deadline=None, max_examples=20)
hypothesis_settings.register_profile("thorough", deadline=None, max_examples=100)
hypothesis_settings.load_profile("fast")

# Tests stop commands by SIGINT; a shell that starts pytest in the background has it ignored, also by its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Servers of the tests are on this machine, whatever proxy the environment names; requests would go through it.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"

# Two logical devices, so that replicas can be tested without a GPU; must precede the first op.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

# Client and server are one process here: with the one thread of a one-core machine, each waits for the other.
tf.config.threading.set_inter_op_parallelism_threads(2)

TINY_GRID = config.GridSettings(spacing_zyx_mm=(12.0, 10.0, 10.0))
TINY_SPLITS = config.SplitSettings(test_cases="3", validation_fraction=0.3)
ALL_AXIS_CODES = [
    "".join(code)
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for code in itertools.product(*axes)
]  # fmt: skip


def affine_of(codes: str, sizes_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Returns an affine whose voxel axes run to the given directions, with an origin off zero."""
    affine = np.diag([0.0, 0, 0, 1])
    for axis, (code, size) in enumerate(zip(codes, sizes_mm, strict=True)):
        world = next(i for i, ends in enumerate(("LR", "PA", "IS")) if code in ends)
        affine[world, axis] = size if code in "RAS" else -size
    affine[:3, 3] = [11, -7, 130]
    return affine


def as_codes(image: nib.Nifti1Image, codes: str) -> nib.Nifti1Image:
    """Returns an image with its axes in another order."""
    ornt = nib.orientations
    change = ornt.ornt_transform(ornt.io_orientation(image.affine), ornt.axcodes2ornt(tuple(codes)))
    return image.as_reoriented(change)


def rotation(degrees_xyz: tuple[float, float, float]) -> np.ndarray:
    """Returns a (4, 4) rotation of world coordinates."""
    result = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(degrees_xyz)):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(4)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def convert_settings(data_dir: Path, records_dir: Path, **changes: object) -> config.ConversionSettings:
    """Returns settings of a conversion that takes seconds, in this process."""
    settings = config.ConversionSettings(
        data_dir=str(data_dir), records_dir=str(records_dir), grid=TINY_GRID, splits=TINY_SPLITS, runner="here"
    )
    return replace(settings, **changes)


def train_settings(records_dir: Path, run_dir: Path, **optimization: object) -> config.RunSettings:
    """Returns settings of a run that takes seconds."""
    return config.RunSettings(
        records_dir=str(records_dir),
        run_dir=str(run_dir),
        patches=config.PatchSettings(patch_size_zyx=(8, 16, 16), patches_per_case=2, shuffle_patches=4),
        warp=config.WarpSettings(rotation_zyx_degrees=(10.0, 0.0, 0.0), scale_range=(0.9, 1.1)),
        appearance=config.AppearanceSettings(  # these take seconds to compile
            blur_probability=0, low_resolution_probability=0, gamma_probability=0, inverted_gamma_probability=0
        ),
        network=config.NetworkSettings(filters=(4, 8), dropout=0.1),
        objective=config.LossSettings(logit_adjustment=0.0),  # a network that has learned next to nothing floods
        optimization=replace(config.OptimizationSettings(epochs=1, learning_rate_schedule="constant"), **optimization),
        validation=config.ValidationSettings(validation_patches_per_case=2),
    )


def training_plan(settings: config.RunSettings, manifest: Manifest | None = None) -> TrainingPlan:
    """Returns the plan of a run, on its records by default."""
    return TrainingPlan(
        settings=settings,
        manifest=manifest or Manifest.read(settings.records_dir),
        architecture=make_architecture(settings.network),
        run_dir=Path(settings.run_dir),
    )


def restore(logits: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns labels on a scan's own grid of logits over the whole training grid.

    Args:
        logits: (z, y, x, classes) float.
        shape: (3,) int32, of the scan.

    Returns:
        `shape` uint8.
    """
    logits, shape = tf.cast(logits, tf.float32), tf.convert_to_tensor(shape, tf.int32)
    size, classes = tf.shape(logits)[:3], logits.shape[3]
    restoration = Restoration(size, shape, tf.zeros([3], tf.int32), size, (labels_output(classes),))
    return restoration.finish(restoration.receive(logits, restoration.begin(classes)))["labels"]


def no_warp() -> Warp:
    """Returns the warp that changes nothing."""
    return Warp(tf.constant(EXACT), tf.eye(3), tf.zeros([3, 0, 0, 0]), tf.constant(0))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undoes what a command that ran in this process set up for log messages, which would hide them from caplog."""
    logger = logging.getLogger("kits_tf")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """One for all tests: collective operations of a second one would be taken for the first one's."""
    strategy = tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices("CPU")])
    assert strategy.num_replicas_in_sync == 2
    return strategy


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Returns a function that makes a folder of a name, once for all processes of this run of pytest."""
    base = tmp_path_factory.getbasetemp()
    return lambda name, make: shared_folder(base, name, make)


# What every mask of a network says that was trained on phantoms.
OF_PHANTOMS = "trained on phantoms: not for real scans"


@pytest.fixture(scope="session")
def data_dir(made_once: Callable) -> Path:
    """Four phantoms of 8 x 6 x 6 mm voxels; tests only read them."""
    spacing = (8.0, 6.0, 6.0)
    return made_once(
        "data",
        lambda root: phantom.main(phantom.Phantom(output_dir=str(root), num_cases=4, phantom_spacing_zyx_mm=spacing)),
    )


@pytest.fixture(scope="session")
def records_dir(data_dir: Path, made_once: Callable) -> Path:
    """Their records: case 3 is the test, one of the others validates; tests only read them."""
    return made_once("records", lambda root: convert.main(convert_settings(data_dir, root)))


@pytest.fixture(scope="session")
def run_dir(records_dir: Path, made_once: Callable) -> Path:
    """A run of one epoch on them; tests that write into a run copy it."""
    return made_once("run", lambda root: train.main(train_settings(records_dir, root)))


@pytest.fixture(scope="session")
def model_dir(run_dir: Path, made_once: Callable) -> Path:
    """The run, exported as version 1 of the model "kits"; tests only read it."""
    settings = export.Export(run_dir=str(run_dir), export_dir="", calibrate=False)
    return made_once("kits", lambda root: export.main(replace(settings, export_dir=str(root))))


@pytest.fixture(scope="session")
def segmenter(run_dir: Path) -> "Segmenter":
    """The run's network with the default settings of inference; its graph is traced once for all tests."""
    from kits_tf.inference.building import build_segmenter
    from kits_tf.training.run import load_run

    return build_segmenter([load_run(run_dir)], config.InferenceSettings())


@pytest.fixture(scope="session")
def model(segmenter: "Segmenter") -> "Model":
    """The same as a model."""
    return segmenter.model()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, without a window."""
    from browser import started_browser

    with started_browser() as found:
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=longest_first)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with time_limit().watched(is_slow=any(item.get_closest_marker(name) for name in ("slow", "docs"))):
        return (yield)
