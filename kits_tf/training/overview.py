"""What a run will do, in words before it starts."""

import math

import tensorflow as tf

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import OptimizationSettings
from kits_tf.network.cost import trace_cost, variable_bytes
from kits_tf.pipeline.footprint import estimate_footprint
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training.optimizer import learning_rate_factor
from kits_tf.training.plan import TrainingPlan
from kits_tf.training.strategy import num_workers
from kits_tf.training.trainer import Trainer


def describe_strategy(strategy: tf.distribute.Strategy, optimization: OptimizationSettings) -> str:
    """Returns one line for the start of a run: which devices, how large a batch, which learning rate."""
    replicas, parts = strategy.num_replicas_in_sync, optimization.accumulated_batches
    names, workers = ", ".join(sorted(strategy.extended.worker_devices)), num_workers(strategy)
    factors = [replicas, *([parts] if parts > 1 else []), optimization.batch_size]
    rule = optimization.learning_rate_rule
    # TensorFlow's class is still called CollectiveAllReduceStrategy.
    name = "MultiWorkerMirroredStrategy" if workers > 1 else type(strategy).__name__
    return (
        f"{name} on {replicas} device{'s' if replicas > 1 else ''}"
        f"{f' of {workers} workers' if workers > 1 else ''} ({names}), "
        f"global batch {math.prod(factors)} = {' x '.join(map(str, factors))}, "
        f"learning rate {optimization.learning_rate * learning_rate_factor(rule, replicas):.3g} ({rule})"
    )


def training_bytes(trainer: Trainer) -> int:
    """Returns what a step takes on each device: weights, the optimizer's and averaged ones, activations and gradients.

    Call it outside of the strategy's scope. What kernels and the allocator need beside them is not in it.
    """
    settings = trainer.settings
    shape = (settings.optimization.batch_size, *settings.recipe.patches.patch_size_zyx)
    cost = trace_cost(trainer.gradients, tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape, tf.uint8))
    return cost.peak_bytes + variable_bytes(trainer.variables)


def check_memory(needed: int, available: int | None) -> None:
    """Refuses a run that cannot fit.

    Args:
        needed: bytes of a step, from `training_bytes`.
        available: bytes of a device; None where the system does not say.

    Raises:
        InputError: it needs more than there is.
    """
    if available is not None and needed > available:
        raise InputError(
            f"a step takes about {needed / 1e9:.1f} GB, the device has {available / 1e9:.1f} GB: expected a smaller "
            "--batch_size (--accumulated_batches makes up for it), --patch_size_zyx or --filters, or --rematerialize"
        )


def plan_memory(plan: TrainingPlan, trainer: Trainer, worker_batch: int) -> str:
    """Returns what a step and the input take, in words; takes seconds, as a step is traced for it.

    Args:
        plan: plan of the run.
        trainer: trainer of the run.
        worker_batch: patches of a step on this worker.

    Raises:
        InputError: a step needs more than the device has.
    """
    settings, manifest = plan.settings, plan.manifest
    needed, available = training_bytes(trainer), devices.device_memory()
    check_memory(needed, available)
    of_device = f" of the device's {available / 1e9:.1f} GB" if available else ""
    record_bytes = [
        shard.num_bytes // len(shard.examples)
        for shard in manifest.shards.values()
        for case_id in shard.examples
        if case_id in manifest.splits["train"]
    ]
    spacing = manifest.grid.spacing_zyx_mm
    recipe = PatchRecipe.from_settings(settings)
    footprint = estimate_footprint(record_bytes, recipe, spacing, worker_batch, settings.input)
    return f"about {needed / 1e9:.2g} GB for a step{of_device}; {footprint}"


def overview(plan: TrainingPlan, trainer: Trainer, steps: int, memory: str | None) -> str:
    """Returns a short table: cases, steps, descent, weights of the classes, network, memory.

    Args:
        plan: plan of the run.
        trainer: trainer of the run.
        steps: number of steps of an epoch.
        memory: result of `plan_memory`; None leaves it out.
    """
    settings, splits = plan.settings, plan.manifest.splits
    optimization = settings.optimization
    schedule = optimization.learning_rate_schedule
    rows = {
        "cases": f"{len(splits['train'])} to train on, {len(splits['validation'])} to validate on",
        "epochs": f"{optimization.epochs} of {steps} steps",
        "descent": f"{optimization.optimizer}, {schedule} learning rate, {settings.objective.loss}",
        "weights": _describe_weights(plan, trainer),
        "network": f"{settings.network.preset}, {trainer.network.count_params():,} parameters",
        "memory": memory,
    }
    return "\n".join(f"{name:<8} {text}" for name, text in rows.items() if text)


def _describe_weights(plan: TrainingPlan, trainer: Trainer) -> str | None:
    """Returns the weight of each class in the cross-entropy; None if all count alike."""
    if plan.settings.objective.class_weighting == "none":
        return None
    weights = zip(plan.manifest.scheme.classes, trainer.class_weights, strict=True)
    return ", ".join(f"{name} {weight:.3g}" for name, weight in weights)
