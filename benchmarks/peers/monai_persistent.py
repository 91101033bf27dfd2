"""KiTS19 cases on 1.6, 1.2, 1.2 mm in the cache of MONAI's PersistentDataset, filled by the workers of a DataLoader.

    python monai_persistent.py --data_dir=KITS19 --output_dir=OUT --workers=2

The cache holds Hounsfield units: clipping, normalizing and finding voxels of each class come after it, if at all.
"""

import argparse
from pathlib import Path

from monai.data import DataLoader, PersistentDataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

KEYS = ("image", "label")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    arguments = parser.parse_args()
    cases = [
        {"image": str(folder / "imaging.nii.gz"), "label": str(folder / "segmentation.nii.gz")}
        for folder in sorted(arguments.data_dir.glob("case_*"))
    ]
    steps = Compose(
        [
            LoadImaged(KEYS),
            EnsureChannelFirstd(KEYS),
            Orientationd(KEYS, axcodes="RAS"),
            # (x, y, z), as RAS has them.
            Spacingd(KEYS, pixdim=(1.2, 1.2, 1.6), mode=("bilinear", "nearest")),
        ]
    )
    # len: the loader is here to fill the cache; a volume need not travel back to this process.
    loader = DataLoader(
        PersistentDataset(cases, steps, arguments.output_dir), num_workers=arguments.workers, collate_fn=len
    )
    for _ in loader:
        pass
