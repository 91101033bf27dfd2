"""Losses of MONAI on random logits, and their gradients, for tests/network/test_losses.py to compare with.

    python losses.py --output=tests/golden/monai_losses.npz

Every class has voxels in every example: what a loss makes of a class that is absent is each library's own choice. Only
for "absent" the first example has no voxel of the last class.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss, DiceLoss, FocalLoss, TverskyLoss

CLASSES = 4
WEIGHTS = (0.2, 1.5, 2.0, 4.0)
OVERLAP = {"to_onehot_y": True, "softmax": True, "smooth_nr": 0.0, "smooth_dr": 0.0}
LOSSES = {
    "cross_entropy": torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS, dtype=torch.float64), reduction="none"),
    "smoothed_cross_entropy": torch.nn.CrossEntropyLoss(label_smoothing=0.1),
    "focal": FocalLoss(include_background=True, to_onehot_y=True, use_softmax=True, gamma=2.0),
    "dice_example": DiceLoss(include_background=False, **OVERLAP),
    "dice_batch": DiceLoss(include_background=True, batch=True, **OVERLAP),
    "dice_squared": DiceLoss(include_background=True, squared_pred=True, **OVERLAP),
    "absent": DiceLoss(to_onehot_y=True, softmax=True),
    "dice_cross_entropy": DiceCELoss(include_background=False, batch=True, **OVERLAP),
    "tversky_example": TverskyLoss(include_background=True, alpha=0.3, beta=0.7, **OVERLAP),
    "tversky_batch": TverskyLoss(include_background=False, alpha=0.3, beta=0.7, batch=True, **OVERLAP),
}


def main(output: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, (2, 6, 5, 4), p=(0.7, 0.15, 0.1, 0.05))
    logits = rng.normal(size=(*labels.shape, CLASSES)) + 2 * np.eye(CLASSES)[labels]
    absent = labels.copy()
    absent[0][labels[0] == CLASSES - 1] = 0
    found = {"labels": labels.astype(np.uint8), "logits": logits.astype(np.float32), "class_weights": np.array(WEIGHTS)}
    found["absent_labels"] = absent.astype(np.uint8)
    for name, loss in LOSSES.items():
        channels_first = torch.tensor(np.moveaxis(found["logits"], -1, 1), dtype=torch.float64, requires_grad=True)
        truth = torch.tensor(absent if name == "absent" else labels)
        value = loss(channels_first, truth if isinstance(loss, torch.nn.CrossEntropyLoss) else truth[:, None]).mean()
        value.backward()
        found[name] = np.array(value.item())
        found[f"{name}_gradient"] = np.moveaxis(channels_first.grad.numpy(), 1, -1).astype(np.float32)
    np.savez_compressed(output, **found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    main(parser.parse_args().output)
