"""A table of what a conversion made, for the terminal."""

from kits_tf.pipeline.manifest import Manifest
from kits_tf.views.terminal.table import aligned


def splits_table(manifest: Manifest) -> str:
    """Returns cases, size of the shards and voxels of each class by split; and HU of the foreground in training."""
    classes = manifest.scheme.classes
    rows = [["", "cases", "MB", *classes]]
    for split, ids in manifest.splits.items():
        size = sum(shard.num_bytes for shard in manifest.shards.values() if set(shard.examples) <= set(ids))
        counts = manifest.class_voxels(split) if ids and split != "unlabeled" else [""] * len(classes)
        rows.append([split, str(len(ids)), f"{size / 1e6:.1f}", *map(str, counts)])
    mean, std = manifest.foreground_mean_std("train")
    hu = f"HU of the foreground in training: mean {mean:.1f}, standard deviation {std:.1f}"
    return "\n".join([*aligned(rows), hu])
