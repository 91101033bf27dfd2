from pathlib import Path

import pytest
from conftest import train_settings, training_plan

from kits_tf.base.errors import InputError
from kits_tf.network.cost import variable_bytes
from kits_tf.training import fit
from kits_tf.training.description import trace_trainer
from kits_tf.training.overview import check_memory, overview, plan_memory, training_bytes


def test_memory_is_what_summary_finds(records_dir: Path) -> None:
    settings = train_settings(records_dir, records_dir)
    plan = training_plan(settings)
    trainer = fit.make_trainer(plan)
    _, training = trace_trainer(trainer, settings.optimization.batch_size, settings.patches.patch_size_zyx)
    needed = training_bytes(trainer)
    assert needed == pytest.approx(training.peak_bytes + variable_bytes(trainer.variables), rel=0.05)
    lines = overview(plan, trainer, 7, plan_memory(plan, trainer, 2)).splitlines()
    assert lines[0] == "cases    2 to train on, 1 to validate on"
    assert lines[1] == "epochs   1 of 7 steps"
    weights = zip(plan.manifest.scheme.classes, trainer.class_weights, strict=True)
    assert lines[3] == f"weights  {', '.join(f'{name} {weight:.3g}' for name, weight in weights)}"
    assert lines[3].startswith("weights  background 0.")
    assert lines[4] == f"network  record, {trainer.network.count_params():,} parameters"
    assert overview(plan, trainer, 7, None).splitlines() == lines[:5]
    assert lines[5].startswith(f"memory   about {needed / 1e9:.2g} GB for a step of the device's ")


def test_a_run_that_cannot_fit_is_refused() -> None:
    check_memory(10**9, 10**9)
    check_memory(10**12, None)
    with pytest.raises(
        InputError, match=r"a step takes about 2.0 GB, the device has 1.0 GB: expected a smaller --batch"
    ):
        check_memory(2 * 10**9, 10**9)
