"""KiTS19 cases on 1.6, 1.2, 1.2 mm, resampled, normalized and written as blosc2 by nnU-Net v2's own preprocessor.

    python nnunet.py --data_dir=KITS19 --output_dir=OUT --workers=2

This is what `nnUNetv2_preprocess` spends its time in. Plans and dataset.json are made by hand, for everybody's grid:
the fingerprint of the data set, for which nnU-Net reads every case once more before it plans, is left out, and so is
its copy of the true masks.
"""

import argparse
import json
import os
from pathlib import Path

DATASET, PLANS, CONFIGURATION = "Dataset019_KiTS19", "nnUNetPlans", "3d_fullres"


def dataset_json(data_dir: Path) -> dict:
    files = {"images": "imaging.nii.gz", "label": "segmentation.nii.gz"}
    cases = {
        folder.name: {"images": [str(folder / files["images"])], "label": str(folder / files["label"])}
        for folder in sorted(data_dir.glob("case_*"))
    }
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "kidney": 1, "tumor": 2},
        "file_ending": ".nii.gz",
        "dataset": cases,
    }


def plans() -> dict:
    """Returns what nnU-Net reads of its plans here, with the planner's defaults for resampling."""
    resampling = {"order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": DATASET,
        "plans_name": PLANS,
        # SimpleITK's arrays of KiTS19 are (x, y, z): the planner puts the coarsest axis of the new grid first.
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 101.0, "std": 76.9, "percentile_00_5": -79.0, "percentile_99_5": 304.0}
        },
        "configurations": {
            CONFIGURATION: {
                "data_identifier": f"{PLANS}_{CONFIGURATION}",
                "preprocessor_name": "DefaultPreprocessor",
                "patch_size": [128, 128, 128],
                "spacing": [1.6, 1.2, 1.2],
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resampling},
                # Read by nobody here; without it the plans are taken for those of an older version.
                "architecture": {},
            }
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    arguments = parser.parse_args()
    folder = arguments.output_dir.absolute() / DATASET
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(dataset_json(arguments.data_dir.absolute())))
    (folder / f"{PLANS}.json").write_text(json.dumps(plans()))
    os.environ.update(dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(folder.parent)))
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    DefaultPreprocessor(verbose=False).run(DATASET, CONFIGURATION, PLANS, num_processes=arguments.workers)
