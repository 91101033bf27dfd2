from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.config import AppearanceSettings, InputSettings, IntensitySettings, PatchSettings, WarpSettings
from kits_tf.pipeline import augment, dataset, patches, preview
from kits_tf.pipeline.augment import TrainingPatches
from kits_tf.pipeline.case import CASE_SPEC, Case
from kits_tf.pipeline.dataset import Worker
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.warp import EXACT
from tfrecords_tools.read import read_records
from tfrecords_tools.write import write_records

SIZE = (5, 6, 7)
SPACING = (12.0, 10.0, 10.0)
OFF = WarpSettings(rotation_probability=0, scale_probability=0, flip_zyx_probability=(0.0, 0.0, 0.0))
PLAIN = AppearanceSettings(**{name: 0.0 for name in vars(AppearanceSettings()) if name.endswith("probability")})
FIXED = InputSettings(patch_order="fixed")


def settings(**changes: object) -> PatchSettings:
    return PatchSettings(**{"patch_size_zyx": SIZE, "patches_per_case": 3, "shuffle_patches": 4, **changes})


@pytest.fixture(scope="module")
def shards(records_dir: Path) -> dict[str, int]:
    """Four shards of one case each."""
    manifest = Manifest.read(records_dir)
    return {p: n for split in manifest.splits for p, n in manifest.shard_paths(split, records_dir).items()}


def training(shards: dict[str, int], batch_size: int = 2, seed: int = 1, **options: object) -> tf.data.Dataset:
    known = {"patches": settings(), "warp": WarpSettings(), "appearance": AppearanceSettings()}
    known |= {"spacing_zyx_mm": SPACING, "input_settings": FIXED} | options
    return dataset.training_patches(shards, batch_size=batch_size, seed=seed, **known)


def contents(batches: tf.data.Dataset) -> list[bytes]:
    """Returns what each patch has and what will happen to it, in order, whatever its batch padded it to."""
    found = []
    for batch in batches:
        rest = tf.nest.flatten(batch.augmentation)
        for i, size in enumerate(batch.source.size.numpy()):
            voxels = int(np.prod(size))
            parts = [batch.source.hu[i, :voxels], batch.source.labels[i, :voxels], batch.source.size[i]]
            found.append(b"".join(part.numpy().tobytes() for part in [*parts, *[r[i] for r in rest]]))
    return found


def test_patches_are_cut_from_the_records_where_their_seed_says(shards: dict[str, int]) -> None:
    expected = set()
    for path in shards:
        case = Case.parse(next(iter(read_records(path))))
        padded = np.pad(case.hu, 40, constant_values=-1024)
        parsed = CASE_SPEC.parse(next(iter(read_records(path))))
        for number in range(3):
            seed = patches.patch_seed(1, tf.constant(0, tf.int64), tf.constant(case.case_id), tf.constant(number))
            one = patches.draw_patch(parsed, seed, settings(), OFF, AppearanceSettings(), SPACING)
            box = one.source.hu.numpy().reshape(SIZE)
            windows = np.lib.stride_tricks.sliding_window_view(padded, SIZE)
            corners = (windows[..., 0, 0, 0] == box[0, 0, 0]) & (windows[..., -1, -1, -1] == box[-1, -1, -1])
            near = corners & (windows[..., 2, 3, 3] == box[2, 3, 3])
            assert any((windows[tuple(at)] == box).all() for at in np.argwhere(near))
            expected.add(box.tobytes())
    batches = training(shards, warp=OFF).take(6)
    assert {hu.numpy().tobytes() for batch in batches for hu in batch.source.hu} == expected


def test_an_epoch_has_its_patches_of_every_case(shards: dict[str, int]) -> None:
    whole = settings(patch_size_zyx=(60, 80, 80), crop_shift_fraction=0.0)  # holds all of a case, so its sum tells it
    steps = dataset.steps_per_epoch(shards, 3, batch_size=5)
    assert steps == 3  # 4 cases, 3 patches each: the third batch is filled up
    for epoch in range(2):
        batches = training(shards, 5, patches=whole, warp=OFF, first_epoch=epoch).take(steps)
        volumes = [hu.astype(np.int64) + 1024 for batch in batches.as_numpy_iterator() for hu in batch.source.hu]
        times = Counter(int(hu.sum()) for hu in volumes)
        assert len(times) == 4 and sum(times.values()) == 15 and min(times.values()) >= 3


def test_a_seed_gives_the_same_epochs_and_epochs_differ(shards: dict[str, int]) -> None:
    first, again, other = (contents(training(shards, seed=seed).take(12)) for seed in (1, 1, 2))
    assert first == again
    assert len(set(first)) == 24  # two epochs of other patches
    assert not set(first) & set(other)


def test_a_run_that_goes_on_sees_what_it_would_have_seen(shards: dict[str, int]) -> None:
    steps = dataset.steps_per_epoch(shards, 3, 2)
    through = contents(training(shards).take(3 * steps))
    assert contents(training(shards, first_epoch=2).take(steps)) == through[2 * steps * 2 :]


def test_the_order_is_fixed_at_any_parallelism_and_fast_has_the_same_patches(shards: dict[str, int]) -> None:
    orders = []
    for threads in (1, 4):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        orders.append(contents(training(shards).with_options(options).take(6)))
    assert orders[0] == orders[1]
    fast = contents(training(shards, input_settings=InputSettings(patch_order="fast")).take(6))
    assert sorted(fast) == sorted(orders[0])


def test_patches_do_not_depend_on_how_cases_are_sharded(shards: dict[str, int], tmp_path: Path) -> None:
    together = tmp_path / "all.tfrecord"
    write_records(together, [record for path in shards for record in read_records(path)])
    assert sorted(contents(training({str(together): 4}).take(6))) == sorted(contents(training(shards).take(6)))


def test_the_cache_gives_the_same_patches(shards: dict[str, int]) -> None:
    cached = contents(training(shards, input_settings=InputSettings(patch_order="fixed", cache="memory")).take(12))
    plain = contents(training(shards).take(12))
    assert sorted(cached[:12]) == sorted(plain[:12]) and sorted(cached[12:]) == sorted(plain[12:])


def test_the_cache_reads_no_file_twice(shards: dict[str, int], tmp_path: Path) -> None:
    copies = {}
    for path in shards:
        copy = tmp_path / Path(path).name
        copy.write_bytes(Path(path).read_bytes())
        copies[str(copy)] = 1
    in_memory = InputSettings(patch_order="fixed", cache="memory")
    batches = iter(training(copies, input_settings=in_memory))
    expected = contents(training(shards, input_settings=in_memory).take(30))
    found = contents([next(batches) for _ in range(6)])
    for path in copies:
        Path(path).unlink()
    assert found + contents([next(batches) for _ in range(24)]) == expected


def test_workers_share_the_shards(shards: dict[str, int]) -> None:
    assert dataset.steps_per_epoch(shards, 3, 2, workers=3) == 3  # the first worker has two cases
    alone = Counter(contents(training(shards).take(6)))
    shared = Counter()
    for index in range(3):
        one = contents(training(shards, worker=Worker(index, 3)).take(3))
        assert len(one) == 6
        shared += Counter(one)
    assert set(alone) < set(shared)  # and more patches of the cases of workers that have only one


def test_more_workers_than_shards_are_refused(shards: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected a shard for each of 5 input workers, got 4"):
        training(shards, worker=Worker(4, 5))


def test_every_mixing_of_cases_has_the_same_patches(shards: dict[str, int]) -> None:
    one_by_one = contents(training(shards, input_settings=InputSettings(patch_order="fixed", cases_at_once=1)).take(6))
    mixed = contents(training(shards).take(6))
    assert one_by_one != mixed and sorted(one_by_one) == sorted(mixed)


def test_training_patches_are_warped_as_their_parameters_say(shards: dict[str, int]) -> None:
    strong = WarpSettings(rotation_probability=1, scale_probability=1)
    (batch,) = training(shards, patches=settings(foreground_fraction=1.0), warp=strong, appearance=PLAIN).take(1)
    plain = IntensitySettings(window_hu=(-2000, 3000), mean_hu=0, std_hu=1)
    hu, labels = augment.augment_batch(batch, SIZE, "linear", (0, 2, 1, 3), plain)
    assert hu.shape == labels.shape == (2, *SIZE)
    assert (labels.numpy() == 0)[hu.numpy() < -300].all()  # image and label are aligned: no kidney in air
    assert labels.numpy().max() > 0


def test_a_patch_that_stays_as_it_is_is_described_so(shards: dict[str, int]) -> None:
    (still,) = training(shards, warp=OFF, appearance=PLAIN).take(1)
    one = tf.nest.map_structure(lambda part: part[0], still.augmentation)
    assert preview.describe(one, SPACING) == "unchanged"
    assert (still.augmentation.warp.kind == EXACT).numpy().all()


def fixed(shards: dict[str, int], per_case: int = 2, batch_size: int = 3, **changes: object) -> list[tuple]:
    batches = dataset.fixed_patches(shards, settings(**changes), per_case, batch_size, seed=1)
    assert batches.cardinality() == -(-sum(shards.values()) * per_case // batch_size)
    return [(hu.numpy(), labels.numpy()) for hu, labels in batches]


def test_fixed_patches_never_change(shards: dict[str, int]) -> None:
    first, again = fixed(shards), fixed(shards)
    assert [len(hu) for hu, _ in first] == [3, 3, 2]
    for (hu, labels), (hu_again, labels_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(hu, hu_again)
        np.testing.assert_array_equal(labels, labels_again)
        assert (labels == 0)[hu < -300].all()


def test_cases_without_a_mask_have_patches_without_labels(shards: dict[str, int], tmp_path: Path) -> None:
    case = Case.parse(next(iter(read_records(next(iter(shards))))))
    unlabeled = replace(case, labels=None)
    write_records(tmp_path / "one.tfrecord", [unlabeled.serialize()])
    ((hu, labels),) = fixed({str(tmp_path / "one.tfrecord"): 1})
    assert hu.min() < hu.max() and (labels == patches.NO_LABEL).all()
    (whole,) = dataset.whole_cases({str(tmp_path / "one.tfrecord"): 1})
    np.testing.assert_array_equal(whole["hu"], case.hu)
    assert whole["labels"].shape == (0, 0, 0)


def test_whole_cases_are_the_records(shards: dict[str, int]) -> None:
    for path, found in zip(shards, dataset.whole_cases(shards), strict=True):
        case = Case.parse(next(iter(read_records(path))))
        assert found["case_id"].numpy().decode() == case.case_id
        np.testing.assert_array_equal(found["hu"], case.hu)
        np.testing.assert_array_equal(found["labels"], case.labels)
        np.testing.assert_array_equal(found["affine"], case.grid.affine)


def test_batches_are_training_patches(shards: dict[str, int]) -> None:
    (batch,) = training(shards).take(1)
    assert isinstance(batch, TrainingPatches)
    assert batch.source.hu.dtype == tf.int16 and batch.source.labels.dtype == tf.uint8
