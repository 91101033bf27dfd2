"""Segments cases as MONAI's bundles do, with the network of step.py: benchmarks/predict.py starts it.

The transforms are those of MONAI's spleen_ct_segmentation bundle; logits, not labels, go back to the scan's grid there.
"""

import argparse
import os
from pathlib import Path

import torch
from monai.data import Dataset, decollate_batch
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    ScaleIntensityRanged,
    Spacingd,
)
from step import make_network

SPACING_XYZ_MM = (1.2, 1.2, 1.6)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--overlap", type=float, required=True)
    parser.add_argument("inputs", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = make_network("plain").eval()
    network.fold()
    network = network.to(memory_format=torch.channels_last_3d)
    before = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=SPACING_XYZ_MM, mode="bilinear"),
            ScaleIntensityRanged("image", a_min=-79, a_max=304, b_min=-2.3, b_max=2.6, clip=True),
            EnsureTyped("image"),
        ]
    )
    after = Compose(
        [
            Activationsd("pred", softmax=True),
            Invertd("pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted("pred", argmax=True),
            SaveImaged(
                "pred", output_dir=options.output_dir, output_postfix="", separate_folder=False, output_dtype="uint8"
            ),
        ]
    )
    inferer = SlidingWindowInferer([options.window] * 3, 1, options.overlap, mode="gaussian")
    data = Dataset([{"image": str(path / "imaging.nii.gz")} for path in options.inputs], before)
    with torch.inference_mode():
        for batch in data:
            image = batch["image"][None].to(memory_format=torch.channels_last_3d)
            batch["pred"] = decollate_batch(inferer(image, network))[0]
            after(batch)


if __name__ == "__main__":
    main()
