"""Segments cases as nnU-Net v2's predictor does, with the network of step.py: benchmarks/predict.py starts it.

Mirror images are left out, as they are on the other sides. Cases go one after another in one process, so that its
memory is all there is.
"""

import argparse
import os
import tempfile
from pathlib import Path

from nnunet import CONFIGURATION, dataset_json, plans
from step import CLASSES, make_network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--overlap", type=float, required=True)
    parser.add_argument("inputs", nargs="+", type=Path)
    options = parser.parse_args()
    # Read when it is imported; nothing is looked for there.
    os.environ.update(dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), tempfile.gettempdir()))
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = make_network("plain").eval()
    network.fold()
    network = network.to(memory_format=torch.channels_last_3d)
    planned = plans()
    planned["configurations"][CONFIGURATION]["patch_size"] = [options.window] * 3
    manager = PlansManager(planned)
    labels = {"background": 0} | {f"class {number}": number for number in range(1, CLASSES)}
    predictor = nnUNetPredictor(1 - options.overlap, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        network,
        manager,
        manager.get_configuration(CONFIGURATION),
        [network.state_dict()],
        dataset_json(options.inputs[0].parent) | {"labels": labels},
        "nnUNetTrainer",
        None,
    )
    Path(options.output_dir).mkdir(parents=True, exist_ok=True)
    images = [[str(path / "imaging.nii.gz")] for path in options.inputs]
    predictor.predict_from_files_sequential(images, [f"{options.output_dir}/{path.name}" for path in options.inputs])


if __name__ == "__main__":
    main()
