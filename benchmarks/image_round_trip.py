"""RMSE in HU of a scan taken to a training grid and back, for each choice of kernel.

    python benchmarks/image_round_trip.py SCAN.nii.gz

"gaussian, cubic" is the usual anti-aliasing, of scikit-image's resize: a blur with a standard deviation of
(ratio - 1) / 2 voxels before sampling.

Over all voxels, and over those of the body (above -300 HU) within the soft-tissue window of the recipe of record
(-79..304 HU): what the network sees.
"""

import numpy as np
from absl import app
from grids import DOWN_KERNELS, GRIDS
from scipy import ndimage

from kits_tf.base.startup import start_tensorflow
from kits_tf.config import IntensitySettings
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.volume import read_image

UP_KERNELS = ("linear", "cubic")


def main(arguments: list[str]) -> None:
    start_tensorflow()
    from kits_tf.ct import preprocess

    image = read_image(arguments[1])
    truth, body = image.array.astype(np.float32), image.array > BODY_HU
    low, high = IntensitySettings().window_hu
    print(f"{arguments[1]}: {image.grid.shape} voxels of {image.grid.spacing_mm} mm")
    print("| grid, mm | to the grid | back | RMSE, HU | in the body's window, HU |\n|---|---|---|---|---|")
    for name, spacing in GRIDS.items():
        grid = image.grid.resampled(spacing)
        ratios = np.array(image.grid.shape) / grid.shape
        blurred = ndimage.gaussian_filter(truth, np.maximum(0, (ratios - 1) / 2), mode="reflect")
        for down in (*DOWN_KERNELS, "gaussian, cubic"):
            source = np.rint(blurred).astype(np.int16) if "gaussian" in down else image.array
            small = preprocess.resample(source, grid.shape, down.split(", ")[-1])
            for up in UP_KERNELS:
                back = preprocess.resample(small, image.grid.shape, up).numpy().astype(np.float32)
                seen = (np.clip(back, low, high) - np.clip(truth, low, high))[body]
                errors = [np.sqrt(np.mean(np.square(e, dtype=np.float64))) for e in (back - truth, seen)]
                print(f"| {name} | {down} | {up} | {errors[0]:.2f} | {errors[1]:.2f} |", flush=True)


if __name__ == "__main__":
    app.run(main)
