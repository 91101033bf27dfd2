"""How a warped patch compares with scipy.ndimage.affine_transform, which does it in one pass in double precision.

    python benchmarks/warp_reference.py --records_dir=RECORDS --patches=40

Patches of 128^3 around labeled voxels of the records, turned about three axes and magnified as the recipe of record has
it, but each of them. For the image: the largest and the mean difference in HU; for labels: Dice of each class against
the label of the nearest voxel.
"""

import numpy as np
from absl import app, flags
from scipy import ndimage

from kits_tf import config
from kits_tf.base.startup import start_tensorflow

RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Folder of records.", required=True)
PATCHES = flags.DEFINE_integer("patches", 40, "Patches, two of each case, until so many are done.")

SIZE, SPACING = (128, 128, 128), (1.6, 1.2, 1.2)
HALF = (np.array(SIZE) - 1) / 2


def main(_: list[str]) -> None:
    start_tensorflow()
    import tensorflow as tf

    from kits_tf.pipeline import dataset, patches, warp
    from kits_tf.pipeline.augment import Augmentation
    from kits_tf.pipeline.lookup import look_up
    from kits_tf.pipeline.manifest import Manifest

    manifest = Manifest.read(RECORDS_DIR.value)
    classes, mirrored = manifest.scheme.classes, np.array(manifest.scheme.mirrored)
    settings = config.WarpSettings(rotation_probability=1, scale_probability=1)
    largest, means, both, sums = 0.0, [], np.zeros(len(classes)), np.zeros(len(classes))
    number = 0
    for case in dataset.whole_cases(manifest.shard_paths("train", RECORDS_DIR.value)):
        hu, labels = case["hu"].numpy().astype(np.float64), case["labels"].numpy()
        for _ in range(2):
            if number == PATCHES.value:
                break
            drawn = warp.sample_warp(tf.constant([number, 0]), settings, SIZE, SPACING)
            center = patches.draw_center(case["class_voxels"], tf.shape(case["hu"]), 1.0, (number, 1))
            patch = patches.cut_source(case, center, Augmentation(drawn, ()), SIZE, "linear")
            image, found = (part.numpy() for part in look_up(patch.source, drawn, SIZE, "linear", mirrored.tolist()))
            matrix = drawn.matrix.numpy().astype(np.float64)
            middle = center.numpy() - np.array(SIZE) // 2 + HALF
            place = {"matrix": matrix, "offset": middle - matrix @ HALF, "output_shape": SIZE, "mode": "grid-constant"}
            difference = np.abs(image - ndimage.affine_transform(hu, order=1, cval=-1024, **place))
            expected = ndimage.affine_transform(labels, order=0, cval=0, **place)
            expected = mirrored[expected] if drawn.mirrored else expected
            largest, number = max(largest, difference.max()), number + 1
            means.append(difference.mean())
            for label in range(len(classes)):
                ours, theirs = found == label, expected == label
                both[label] += 2 * (ours & theirs).sum()
                sums[label] += ours.sum() + theirs.sum()
    print(f"{number} patches; HU: largest difference {largest:.3f}, mean {np.mean(means):.5f}")
    for name, dice in zip(classes[1:], (both / np.maximum(sums, 1))[1:], strict=True):
        print(f"Dice {name}: {dice:.6f}")


if __name__ == "__main__":
    app.run(main)
