"""How left and right were told in every mask, and that no voxel was lost on the way.

    python benchmarks/sides.py --data_dir=KITS19 --cases=0-179

Works on segmentations alone; where a case has its scan too, the middle of the body is compared with the middle
between the kidneys. A mask that needs the scan and has none is told by the middle of the picture.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from absl import app, flags

from kits_tf.ct import layouts
from kits_tf.ct.labels import LATERALITY, from_challenge
from kits_tf.ct.sides import body_midline
from kits_tf.ct.volume import AIR_HU, read_image, read_labels

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of case_XXXXX/segmentation.nii.gz.", required=True)
CASES = flags.DEFINE_string("cases", "0-179", "Case numbers, as in 0-9,15.")


def main(_: list[str]) -> None:
    rules: Counter[str] = Counter()
    for number in sorted(layouts.parse_case_numbers(CASES.value)):
        folder = Path(DATA_DIR.value) / f"case_{number:05d}"
        mask = read_labels(folder / layouts.LABELS_NAME)
        scan = folder / layouts.IMAGE_NAME
        hu = read_image(scan).array if scan.is_file() else np.broadcast_to(np.int16(AIR_HU), mask.array.shape)
        labels, decision = from_challenge(mask.array, LATERALITY, hu, mask.grid.spacing_mm)
        if (LATERALITY.to_challenge(labels) != mask.array).any():
            raise SystemExit(f"{folder.name}: labels changed on the way to sides and back")
        right, left = (np.count_nonzero(labels == side) * np.prod(mask.grid.spacing_mm) / 1000 for side in (1, 2))
        body = ""
        if scan.is_file():
            shown = mask.array.any(axis=(1, 2))
            offset_mm = (body_midline(hu[shown]) - decision.midline_x) * mask.grid.spacing_mm[2]
            body = f"; middle of the body {offset_mm:+.0f} mm from it"
        print(f"{folder.name}: right {right:.0f} mL, left {left:.0f} mL; {decision}{body}", flush=True)
        rules[f"{decision.midline_from}, {'cut' if decision.cut else 'not cut'}"] += 1
    print(f"every label kept in all {rules.total()} masks; midline from {dict(rules)}")


if __name__ == "__main__":
    app.run(main)
