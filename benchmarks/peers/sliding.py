"""MONAI's sliding_window_inference with networks that are no networks, for tests/inference/test_sliding.py.

    python sliding.py --output=tests/golden/monai_sliding.npz

What they give for a voxel depends on its value and its place in the window, so that each window's weight shows.
"""

import argparse

import numpy as np
import torch
from monai.inferers import sliding_window_inference

# name: (volume, window, overlap, weights)
SETTINGS = {
    "halves": ((13, 17, 11), (6, 8, 5), 0.5, "gaussian"),
    "constant": ((13, 17, 11), (6, 8, 5), 0.5, "constant"),
    "quarter": ((20, 9, 16), (8, 8, 8), 0.25, "gaussian"),
    "small": ((3, 17, 5), (6, 8, 8), 0.5, "gaussian"),
    "apart": ((13, 16, 12), (4, 8, 6), 0.0, "constant"),
}


def network(windows: torch.Tensor) -> torch.Tensor:
    """Returns (n, 2, *window) of (n, 1, *window)."""
    place = torch.arange(windows[0, 0].numel()).reshape(windows.shape[2:]) % 37
    return torch.cat([windows * place, windows - place], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True)
    output, rng, found = parser.parse_args().output, np.random.default_rng(8), {}
    for name, (size, window, overlap, weights) in SETTINGS.items():
        volume = rng.integers(-50, 50, size).astype(np.float32)
        merged = sliding_window_inference(
            torch.from_numpy(volume)[None, None], window, 2, network, overlap, weights, padding_mode="constant", cval=-9
        )
        found[f"{name}.volume"], found[f"{name}.merged"] = volume, merged[0].numpy()
        found[f"{name}.settings"] = np.array([*window, overlap, weights == "gaussian"])
    np.savez_compressed(output, **found)


if __name__ == "__main__":
    main()
