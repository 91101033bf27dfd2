"""What a run will do, told before it starts."""

import tensorflow as tf

from kits_tf import runtime
from kits_tf.config import Train
from kits_tf.errors import InputError
from kits_tf.network.cost import trace_cost, variable_bytes
from kits_tf.pipeline.footprint import estimate_footprint
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.trainer import Trainer


def training_bytes(trainer: Trainer) -> int:
    """Returns what a step takes on each device: weights, the optimizer's and averaged ones, activations and gradients.

    To be called outside of the strategy's scope. What kernels and the allocator need beside them is not in it.
    """
    settings = trainer.settings
    shape = (settings.optimization.batch_size, *settings.patches.patch_size_zyx)
    cost = trace_cost(trainer.gradients, tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape, tf.uint8))
    return cost.peak_bytes + variable_bytes(trainer.variables)


def check_memory(needed: int, available: int | None) -> None:
    """Refuses a run that cannot fit.

    Args:
        needed: bytes of a step, of `training_bytes`.
        available: bytes of a device; None where nobody knows.

    Raises:
        InputError: it needs more than there is.
    """
    if available is not None and needed > available:
        raise InputError(
            f"a step takes about {needed / 1e9:.1f} GB, the device has {available / 1e9:.1f} GB: expected a smaller "
            "--batch_size (--accumulated_batches makes up for it), --patch_size_zyx or --filters, or --rematerialize"
        )


def overview(settings: Train, manifest: Manifest, trainer: Trainer, steps: int, worker_batch: int, needed: int) -> str:
    """Returns a short table: cases, steps, network, memory.

    Args:
        settings: of the run.
        manifest: of the records, with the run's split.
        trainer: of the run.
        steps: of an epoch.
        worker_batch: patches of a step on this worker.
        needed: of `training_bytes`.
    """
    splits, optimization, available = manifest.splits, settings.optimization, runtime.device_memory()
    schedule = optimization.learning_rate_schedule
    of_device = f" of the device's {available / 1e9:.1f} GB" if available else ""
    record_bytes = [
        shard.num_bytes // len(shard.examples)
        for shard in manifest.shards.values()
        for case_id in shard.examples
        if case_id in splits["train"]
    ]
    spacing = manifest.grid.spacing_zyx_mm
    footprint = estimate_footprint(record_bytes, settings.patches, settings.warp, spacing, worker_batch, settings.input)
    rows = {
        "cases": f"{len(splits['train'])} to train on, {len(splits['validation'])} to validate on",
        "epochs": f"{optimization.epochs} of {steps} steps",
        "descent": f"{optimization.optimizer}, {schedule} learning rate, {settings.objective.loss}",
        "network": f"{settings.network.preset}, {trainer.network.count_params():,} parameters",
        "memory": f"about {needed / 1e9:.2g} GB for a step{of_device}; {footprint}",
    }
    return "\n".join(f"{name:<8} {text}" for name, text in rows.items())
