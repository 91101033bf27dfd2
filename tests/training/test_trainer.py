import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import train_settings, training_plan

from kits_tf import train
from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import (
    AppearanceSettings,
    LossSettings,
    NetworkSettings,
    OptimizationSettings,
    RunSettings,
    ValidationSettings,
)
from kits_tf.network.weighting import class_weights
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.patch_classes import count_patch_voxels
from kits_tf.training import fit, overview, run
from kits_tf.training.history import read_history
from kits_tf.training.replicated import ReplicatedTrainer, TrainingStep
from kits_tf.training.strategy import choose_strategy
from kits_tf.training.trainer import Trainer
from tfrecords_tools.errors import RecordError

ONE = tf.distribute.OneDeviceStrategy("/cpu:0")
SILENT = AppearanceSettings(noise_probability=0)  # noise is other noise when a step is compiled


@pytest.fixture(scope="module")
def manifest(records_dir: Path) -> Manifest:
    return Manifest.read(records_dir)


def test_a_run_keeps_what_a_colleague_needs(run_dir: Path, records_dir: Path) -> None:
    names = {p.name for p in run_dir.iterdir()}
    assert names == {
        "train.flags", "manifest.json", "environment.json", "history.csv", "tensorboard",
        "best.weights.h5", "last.weights.h5", "checkpoints", "curves.png", "notice.txt", ".lock",
    }  # fmt: skip
    loaded = run.load_run(run_dir)
    assert loaded.settings == train_settings(records_dir, run_dir)
    assert loaded.manifest == Manifest.read(records_dir)
    assert "tensorflow" in (run_dir / "environment.json").read_text()
    (epoch,) = read_history(run_dir)
    assert 0 < epoch.train["loss"] < 10 and 0 <= epoch.validation["composite"] <= 1


def test_tensorboard_has_the_history_and_the_validation_patches(run_dir: Path) -> None:
    (epoch,) = read_history(run_dir)
    train_scores = {"learning_rate": epoch.learning_rate, **epoch.train}
    for split, scores in (("train", train_scores), ("validation", epoch.validation)):
        (events,) = (run_dir / "tensorboard" / split).iterdir()
        written = {
            value.tag: tf.make_ndarray(value.tensor)
            for event in tf.compat.v1.train.summary_iterator(str(events))
            for value in event.summary.value
        }
        regions, classes = ("kidney_dice", "tumor_dice"), ("dice_right_kidney", "dice_left_kidney", "dice_tumor")
        names = {"loss", "composite", *regions, *classes} | ({"learning_rate"} if split == "train" else set())
        if split == "validation":
            width, height, *pictures = written.pop("validation patches")
            assert (width, height) == (b"16", b"16") and tf.io.decode_png(pictures[0]).shape == (16, 16, 3)
        assert {name: float(score) for name, score in written.items()} == pytest.approx(dict(scores))
        assert set(written) == names


def test_a_finished_run_is_left_alone_and_other_flags_are_refused(
    run_dir: Path, records_dir: Path, tmp_path: Path, log: list[str]
) -> None:
    run_dir = shutil.copytree(run_dir, tmp_path / "run")
    before = (run_dir / "best.weights.h5").read_bytes()
    train.main(train_settings(records_dir, run_dir))
    assert f"{run_dir}: trained already, 1 epochs" in log
    assert (run_dir / "best.weights.h5").read_bytes() == before
    with pytest.raises(InputError, match=r"holds a run with other flags than --learning_rate=0.5"):
        train.main(train_settings(records_dir, run_dir, learning_rate=0.5))
    # As if the run were older than this flag, which has its default.
    flags = (run_dir / "train.flags").read_text()
    assert "\n--gamma_range=0.7,1.5\n" in flags
    (run_dir / "train.flags").write_text(flags.replace("--gamma_range=0.7,1.5\n", ""))
    train.main(train_settings(records_dir, run_dir))


def test_a_run_goes_on_only_with_the_same_records(run_dir: Path, records_dir: Path) -> None:
    settings, manifest = train_settings(records_dir, run_dir), Manifest.read(records_dir)
    case_id, entry = next(iter(manifest.cases.items()))

    def with_entry(**changes: object) -> Manifest:
        return replace(manifest, cases=manifest.cases | {case_id: replace(entry, **changes)})

    rounded = replace(entry.hu_body, mean=entry.hu_body.mean * (1 + 1e-7))
    moved = replace(manifest.splitting, splits_file="/elsewhere/splits.json")
    for same in (replace(manifest, data_dir="/elsewhere", splitting=moved), with_entry(hu_body=rounded)):
        run.open_run_dir(settings, same)
    others = [
        replace(manifest, splits=manifest.splits | {"train": manifest.splits["train"][:1]}),
        replace(manifest, grid=replace(manifest.grid, spacing_zyx_mm=(12.0, 10.0, 9.0))),
        with_entry(inputs_sha256=("0" * 64,)),
    ]
    for other in others:
        with pytest.raises(InputError, match=r"was trained on other records than .*; use a new --run_dir$"):
            run.open_run_dir(settings, other)


def sgd(records_dir: Path, norm: str = "batch", **optimization: object) -> RunSettings:
    """Returns settings of plain gradient descent, for whose steps chance plays no part but in the first weights."""
    optimization = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.0} | optimization
    settings = train_settings(records_dir, records_dir, **optimization)
    settings = replace(settings, network=replace(settings.network, dropout=0.0, norm=norm), appearance=SILENT)
    settings = replace(settings, warp=replace(settings.warp, rotation_probability=1.0))
    return replace(settings, input=replace(settings.input, patch_order="fixed"))


def after_a_step(
    settings: RunSettings,
    manifest: Manifest,
    strategy: tf.distribute.Strategy,
    compiled: bool = False,
    augmented: bool = True,
) -> tuple[list[np.ndarray], float]:
    """Returns the weights that are validated after a step on a batch of two patches in all, and the loss."""
    replicas, parts = strategy.num_replicas_in_sync, settings.optimization.accumulated_batches
    optimization = replace(settings.optimization, batch_size=2 // replicas // parts)
    settings = replace(settings, optimization=optimization)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        trainer = fit.make_trainer(training_plan(settings, manifest), synchronized=replicas > 1)
        if compiled:
            trainer.train_step = tf.function(trainer.train_step, jit_compile=True)
        batches = fit.training_input(settings, manifest, settings.records_dir)
        if not augmented:  # which takes most of the time to trace
            trainer.prepare = lambda patches: patches
            batches = noise
        step = next(ReplicatedTrainer(trainer, strategy).train(batches))
    assert trainer.results()["loss"] == pytest.approx(step.loss, rel=1e-5)
    return trainer.validated.get_weights(), step.loss


def noise(context: tf.distribute.InputContext) -> tf.data.Dataset:
    """Returns batches of images and labels: the same two patches again and again, over all replicas."""
    rng, shape = np.random.default_rng(0), (2, 8, 16, 16)
    images, labels = rng.normal(size=shape).astype(np.float32), rng.integers(0, 4, shape).astype(np.uint8)
    patches = tf.data.Dataset.from_tensor_slices((images, labels)).repeat()
    return patches.batch(2 // context.num_replicas_in_sync, drop_remainder=True)


def check_equal(one: tuple, two: tuple, tolerance: float) -> None:
    assert one[1] == pytest.approx(two[1], rel=tolerance)
    for ours, theirs in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.fixture(scope="module")
def one_replica(manifest: Manifest, records_dir: Path) -> tuple:
    return after_a_step(sgd(records_dir), manifest, ONE)


@pytest.mark.slow
def test_two_replicas_take_the_step_of_one_with_the_double_batch(
    two_replicas: tf.distribute.Strategy, one_replica: tuple, manifest: Manifest, records_dir: Path
) -> None:
    check_equal(one_replica, after_a_step(sgd(records_dir), manifest, two_replicas), 1e-5)


def test_gradients_are_clipped_over_all_replicas_and_averaged_weights_follow(
    two_replicas: tf.distribute.Strategy, manifest: Manifest, records_dir: Path
) -> None:
    settings = sgd(records_dir, "instance", clip_norm=0.01, average_decay=0.5, learning_rate=1.0)
    one = after_a_step(settings, manifest, ONE, augmented=False)
    check_equal(one, after_a_step(settings, manifest, two_replicas, augmented=False), 1e-6)
    keras.utils.set_random_seed(0)
    untrained = fit.make_trainer(training_plan(settings, manifest)).network.get_weights()
    moved = np.sqrt(sum(np.sum((after - before) ** 2) for after, before in zip(one[0], untrained, strict=True)))
    assert moved == pytest.approx(0.9 * 0.01, rel=1e-3)  # a step of length 0.01, of which the first average keeps 1/10


def test_batches_that_accumulate_are_one_large_batch(manifest: Manifest, records_dir: Path) -> None:
    one = after_a_step(sgd(records_dir, "instance"), manifest, ONE, augmented=False)
    two = after_a_step(sgd(records_dir, "instance", accumulated_batches=2), manifest, ONE, augmented=False)
    check_equal(one, two, 1e-5)


def test_half_precision_is_scaled_and_clipped_over_replicas(
    two_replicas: tf.distribute.Strategy, manifest: Manifest, records_dir: Path
) -> None:
    settings = sgd(records_dir, "instance", clip_norm=0.01, learning_rate=1.0)
    settings = replace(settings, network=replace(settings.network, downsampling="stride"))  # no float16 pooling on CPUs
    full = after_a_step(settings, manifest, two_replicas, augmented=False)
    with devices.layers_in("mixed_float16"):
        half = after_a_step(settings, manifest, two_replicas, augmented=False)
    assert half[1] == pytest.approx(full[1], rel=0.01)
    apart = np.sqrt(sum(np.sum((ours - theirs) ** 2) for ours, theirs in zip(full[0], half[0], strict=True)))
    assert 0 < apart < 0.05 * 0.01  # of a step of length 0.01


def test_two_replicas_validate_as_one(
    two_replicas: tf.distribute.Strategy, manifest: Manifest, records_dir: Path, tmp_path: Path
) -> None:
    # Two steps on three patches: one replica's last batch is empty.
    settings = replace(
        train_settings(records_dir, tmp_path), validation=ValidationSettings(validation_patches_per_case=3)
    )
    found = []
    for strategy in (ONE, two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            trainer = fit.make_trainer(training_plan(settings, manifest))
            found.append(
                ReplicatedTrainer(trainer, strategy).validate(
                    fit.validation_input(settings, manifest, str(records_dir))
                )
            )
    assert found[0] == pytest.approx(found[1])
    assert 0 < found[0]["loss"] < 10


@pytest.mark.slow
def test_two_replicas_that_compute_levels_twice_take_the_same_step(
    two_replicas: tf.distribute.Strategy, manifest: Manifest, records_dir: Path
) -> None:
    one = after_a_step(sgd(records_dir, "instance"), manifest, ONE)
    two = after_a_step(sgd(records_dir, "instance", rematerialize=True), manifest, two_replicas)
    check_equal(one, two, 1e-5)


def test_batch_norm_twice_a_step_is_refused_before_a_run_begins(records_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--rematerialize: expected --norm=instance or none"):
        train.main(train_settings(records_dir, tmp_path / "run", rematerialize=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_step_that_xla_compiles_is_the_same(one_replica: tuple, manifest: Manifest, records_dir: Path) -> None:
    check_equal(one_replica, after_a_step(sgd(records_dir), manifest, ONE, compiled=True), 2e-4)


def test_half_precision_takes_nearly_the_same_step(one_replica: tuple, manifest: Manifest, records_dir: Path) -> None:
    with devices.layers_in("mixed_bfloat16"):
        half = after_a_step(sgd(records_dir), manifest, ONE)
    check_equal(one_replica, half, 0.05)
    assert one_replica[1] != half[1]


def test_strategy_follows_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = choose_strategy("tf_config")
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    said = overview.describe_strategy(strategy, OptimizationSettings(accumulated_batches=3, learning_rate=0.01))
    assert said.endswith("global batch 6 = 1 x 3 x 2, learning rate 0.01 (fixed)")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: tf.config.get_visible_devices() * 2)
    chosen = {}
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: chosen.setdefault("names", names))
    choose_strategy("tf_config")
    assert len(chosen["names"]) == 2


def test_class_weights_come_from_the_training_patches(manifest: Manifest, records_dir: Path, tmp_path: Path) -> None:
    for weighting in ("inverse", "square_root", "none"):
        settings = replace(train_settings(records_dir, tmp_path), objective=LossSettings(class_weighting=weighting))
        trainer = fit.make_trainer(training_plan(settings, manifest))
        voxels = count_patch_voxels(manifest, records_dir, settings.patches, settings.seed)
        assert trainer.class_weights == trainer.objective.class_weights == class_weights(voxels, weighting)


def test_the_loss_of_a_batch_falls(manifest: Manifest, records_dir: Path, tmp_path: Path) -> None:
    settings = train_settings(records_dir, tmp_path, learning_rate=0.02)
    settings = replace(settings, network=replace(settings.network, dropout=0.0))
    losses = [step.loss for step in itertools.islice(repeated(settings, manifest, records_dir)[1], 25)]
    assert losses[-1] < 0.5 * losses[0]


def test_deep_supervision_trains_its_heads_and_goes_on_after_a_stop(
    manifest: Manifest, records_dir: Path, tmp_path: Path
) -> None:
    settings = train_settings(records_dir, tmp_path / "run", epochs=2)
    settings = replace(settings, network=NetworkSettings(filters=(4, 6, 8, 8), deep_supervision=True, dropout=0.0))
    trainer, steps = repeated(settings, manifest, records_dir)
    assert [variable.path for variable in trainer.supervised.trainable_variables][-2:] == ["head1/kernel", "head1/bias"]
    before = trainer.supervised.get_layer("head1").get_weights()
    next(steps)
    for old, new in zip(before, trainer.supervised.get_layer("head1").get_weights(), strict=True):
        assert (old != new).any()
    again = fit.make_trainer(training_plan(settings, manifest))
    again.restore(trainer.state())
    for ours, theirs in zip(trainer.supervised.get_weights(), again.supervised.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def repeated(settings: RunSettings, manifest: Manifest, records_dir: Path) -> tuple[Trainer, Iterator[TrainingStep]]:
    """Returns a trainer and its steps, all on the same batch."""
    keras.utils.set_random_seed(0)
    trainer = fit.make_trainer(training_plan(settings, manifest))
    batches = fit.training_input(settings, manifest, str(records_dir))(tf.distribute.InputContext())
    batch = batches.take(1).cache().repeat()
    return trainer, ReplicatedTrainer(trainer, ONE).train(lambda _: batch)


def test_a_loss_that_is_no_number_stops_the_run(records_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"step \d+: the loss of patches of case_0000.* is (nan|inf), expected"
    ) as caught:
        train.main(train_settings(records_dir, tmp_path / "run", learning_rate=1e36))
    assert "lower --learning_rate, now 1e+36" in str(caught.value)
    # Nothing was trained: other flags may try again.
    settings = train_settings(records_dir, tmp_path / "run", learning_rate=0.5)
    run.open_run_dir(settings, Manifest.read(records_dir))
    assert "--learning_rate=0.5\n" in (tmp_path / "run" / "train.flags").read_text()


@pytest.mark.parametrize(
    ("flag", "difference"),
    [
        ("--filters=4,6", r"layer bottom_1_conv has weights \(3, 3, 3, 4, 8\), expected \(3, 3, 3, 4, 6\)"),
        ("--filters=4", r"layer bottom_1_conv has weights \(3, 3, 3, 4, 8\), expected \(3, 3, 3, 1, 4\)"),
        ("--filters=4,8,16", r"layer encoder1_1_conv has weights none, expected \(3, 3, 3, 4, 8\)"),
        ("--filters=4,8\n--attention", r"layer decoder0_gate_skip has weights none, expected \(1, 1, 1, 4, 2\) \(2,\)"),
        ("--filters=4,8\n--norm=none", r"layer encoder0_1_conv has weights \(3, 3, 3, 1, 4\), expected .* \(4,\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(run_dir: Path, tmp_path: Path, flag: str, difference: str) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    flags = tmp_path / "run" / "train.flags"
    flags.write_text((run_dir / "train.flags").read_text().replace("--filters=4,8", flag))
    with pytest.raises(InputError, match=rf"of train.flags, found another architecture: {difference}$") as caught:
        run.load_run(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "best.weights.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match="best.weights.h5: expected the weights of .*, found a damaged file"):
        run.load_run(tmp_path / "run")


def test_damaged_records_are_named_before_and_while_training(records_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(records_dir, tmp_path / "records")
    shard = Path(Manifest.read(records_dir).shard_paths("train", tmp_path / "records").popitem()[0])
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(RecordError, match=rf"{shard.name}: expected whole records, record 0 cannot be read"):
        train.main(train_settings(tmp_path / "records", tmp_path / "run1"))
    shard.write_bytes(content[:-10])
    with pytest.raises(InputError, match=rf"{shard.name}: expected a shard of {len(content)} bytes"):
        train.main(train_settings(tmp_path / "records", tmp_path / "run2"))
    assert not (tmp_path / "run2").exists()


@pytest.mark.parametrize("kind", ["folder", "dangling", "missing", "of another kind"])
def test_a_record_that_is_gone_when_it_is_read_is_named(
    records_dir: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(records_dir, tmp_path / "records")
    shard = Path(Manifest.read(records_dir).shard_paths("train", tmp_path / "records").popitem()[0])
    shard.unlink()
    if kind == "folder":
        shard.mkdir()
    elif kind == "dangling":
        shard.symlink_to(tmp_path / "nothing")
    elif kind == "of another kind":
        shard.write_bytes(b"no record at all, but text")
    settings = train_settings(tmp_path / "records", tmp_path / "run")
    with pytest.raises(InputError, match=f"{shard.name}: expected a shard of .* bytes, found"):
        train.main(settings)
    monkeypatch.setattr(Manifest, "check_shards", lambda *_: None)  # as if it happened after the check
    with pytest.raises(RecordError, match=shard.name):
        train.main(settings)


def test_weights_that_do_not_fit_on_the_disk_leave_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    path = tmp_path / "best.weights.h5"
    run.save_weights(network, path, 0.5)
    before = path.read_bytes()
    written = list[int]()

    def write_bytes(_: Path, content: bytes) -> None:
        written.append(len(content))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="best.weights.h5: cannot be written: No space left on device"):
        run.save_weights(network, path, 0.75)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]
    assert written[0] > len(before)


def test_foreign_folders_are_not_written_to(records_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="expected a new or an empty folder, or an earlier run"):
        train.main(train_settings(records_dir, tmp_path))
