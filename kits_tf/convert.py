"""python -m kits_tf.convert: CT volumes -> TFRecords and their manifest."""

from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime
from kits_tf.ct.layouts import find_cases

if TYPE_CHECKING:
    from kits_tf.pipeline.manifest import Manifest


def main(settings: config.Convert) -> None:
    """Converts every case; a second run goes on where an interrupted one stopped.

    Raises:
        InputError: bad data, or records of other settings are already there. Finished shards stay.
    """
    cases = find_cases(settings.data_dir)
    runtime.quiet_tensorflow()
    from kits_tf.pipeline.conversion import convert_all
    from kits_tf.pipeline.splits import included_cases

    manifest = convert_all(settings, included_cases(cases, settings.splits))
    print(summary(manifest, settings))
    print(f"wrote {settings.records_dir}")


def summary(manifest: "Manifest", settings: config.Convert) -> str:
    """Returns a table of the splits: cases, size of the shards, voxels of each class; and HU of the foreground."""
    classes = manifest.scheme.classes
    rows = [["", "cases", "MB", *classes]]
    for split, ids in manifest.splits.items():
        size = sum(shard.num_bytes for shard in manifest.shards.values() if set(shard.examples) <= set(ids))
        counts = manifest.class_voxels(split) if ids and split != "unlabeled" else [""] * len(classes)
        rows.append([split, str(len(ids)), f"{size / 1e6:.1f}", *map(str, counts)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    if not manifest.splits["test"]:
        lines.append(f"no test cases: none is numbered {settings.splits.test_cases}")
    mean, std = manifest.foreground_mean_std("train")
    lines.append(f"HU of the foreground in training: mean {mean:.1f}, standard deviation {std:.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    commandline.run(config.Convert, main)
