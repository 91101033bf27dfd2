"""KiTS19 cases resampled to 1.6, 1.2, 1.2 mm, clipped and normalized as for MLPerf's 3D U-Net, as .npy files.

    python mlperf.py --data_dir=KITS19 --output_dir=OUT --workers=2 --resampler=torch_linear

The resamplers, labels always nearest:
    torch_linear: as MLPerf's training reference has it, one case after the other there, in a pool of processes here.
    scipy_linear: as its inference reference has it.
    scipy_cubic: the same call with order=3, SciPy's default.
Padding to 128 voxels and more, as both references do, is left out.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

SPACING_ZYX_MM = np.array((1.6, 1.2, 1.2))
WINDOW_HU = (-79.0, 304.0)
MEAN_HU, STD_HU = 101.0, 76.9


def resample_with_scipy(image: np.ndarray, labels: np.ndarray, factors: np.ndarray, order: int) -> tuple:
    """Returns image and labels (z, y, x) on the new grid."""
    from scipy.ndimage import zoom

    small = zoom(image, factors, order=order, mode="constant", cval=image.min())
    return small, zoom(labels, factors, order=0, mode="constant", cval=0)


def resample_with_torch(image: np.ndarray, labels: np.ndarray, factors: np.ndarray) -> tuple:
    """Returns image and labels (z, y, x) on the new grid."""
    # Here: the others should not wait for an import that they do not need.
    import torch
    from torch.nn.functional import interpolate

    shape = [int(length) for length in factors * image.shape]
    batch, label_batch = (torch.from_numpy(array)[None, None] for array in (image, labels))
    small = interpolate(batch, size=shape, mode="trilinear", align_corners=True)
    return small[0, 0].numpy(), interpolate(label_batch, size=shape, mode="nearest")[0, 0].numpy()


RESAMPLERS: dict[str, Callable[..., tuple]] = {
    "torch_linear": resample_with_torch,
    "scipy_linear": partial(resample_with_scipy, order=1),
    "scipy_cubic": partial(resample_with_scipy, order=3),
}


def write_case(folder: Path, output_dir: Path, resampler: str) -> None:
    scan = nibabel.load(folder / "imaging.nii.gz")
    factors = np.array(scan.header.get_zooms(), np.float64) / SPACING_ZYX_MM
    image = scan.get_fdata(caching="unchanged").astype(np.float32)
    labels = nibabel.load(folder / "segmentation.nii.gz").get_fdata(caching="unchanged").astype(np.uint8)
    image, labels = RESAMPLERS[resampler](image, labels, factors)
    image = (np.clip(image, *WINDOW_HU) - MEAN_HU) / STD_HU
    np.save(output_dir / f"{folder.name}_x.npy", image.astype(np.float32))
    np.save(output_dir / f"{folder.name}_y.npy", labels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--resampler", choices=RESAMPLERS, required=True)
    arguments = parser.parse_args()
    write = partial(write_case, output_dir=arguments.output_dir, resampler=arguments.resampler)
    # Not multiprocessing.Pool: it waits for ever for a process that was killed for want of memory.
    with ProcessPoolExecutor(arguments.workers) as pool:
        for _ in pool.map(write, sorted(arguments.data_dir.glob("case_*"))):
            pass
