"""Milliseconds that other libraries take to rotate, scale and mirror an image and its labels of 128^3 voxels.

    python warps.py --repeats=8

A line of JSON for each contender and setting: the median over `repeats`, after one that is not timed; each of them
warps two patches. Everybody may use all cores of this process. Images are interpolated linearly and the nearest label
is taken, except by batchgeneratorsv2 as it is by default and in nnU-Net: there the label with the largest interpolated
share wins.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import monai.transforms
import numpy as np
import SimpleITK
import torch
import torchio
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

SIZE, PATCHES, SEED = 128, 2, 0
BLOCK = 16  # edge of a cube of one label
Warp = Callable[[torch.Tensor, torch.Tensor], object]


@dataclass(frozen=True)
class Setting:
    """The largest angles about z, y and x, the range of magnification, and whether left and right change places."""

    degrees_zyx: tuple[float, float, float]
    scale: tuple[float, float]
    mirror: bool


SETTINGS = {
    "three-axis": Setting((30.0, 15.0, 15.0), (0.7, 1.4), mirror=True),
    "in-plane": Setting((30.0, 0.0, 0.0), (1.0, 1.0), mirror=False),
}


def warp_of_monai(setting: Setting) -> Warp:
    keys = ("image", "label")
    steps = [
        # Arrays are (x, y, z); a magnification is drawn for each axis, as there is no other way.
        monai.transforms.RandAffined(
            keys,
            prob=1.0,
            rotate_range=np.deg2rad(setting.degrees_zyx[::-1]).tolist(),
            scale_range=[(setting.scale[0] - 1, setting.scale[1] - 1)] * 3,
            mode=("bilinear", "nearest"),
            padding_mode="border",
        )
    ]
    if setting.mirror:
        steps.append(monai.transforms.RandFlipd(keys, prob=1.0, spatial_axis=0))
    transform = monai.transforms.Compose(steps).set_random_state(SEED)
    return lambda image, labels: transform({"image": image, "label": labels})


def warp_of_batchgenerators(setting: Setting, **options: str) -> Warp:
    def angle(dim: int, **_: object) -> float:
        # Arrays are (z, y, x).
        limit = np.deg2rad(setting.degrees_zyx[dim])
        return np.random.uniform(-limit, limit)

    spatial = SpatialTransform(
        (SIZE,) * 3,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=1,
        rotation=angle,
        p_scaling=float(setting.scale != (1.0, 1.0)),
        scaling=setting.scale,
        p_synchronize_scaling_across_axes=1,
        bg_style_seg_sampling=False,
        **options,
    )
    # It mirrors every other patch: its chance cannot be set.
    transform = ComposeTransforms([spatial, *([MirrorTransform((2,))] if setting.mirror else [])])
    return lambda image, labels: transform(image=image, segmentation=labels)


def warp_of_torchio(setting: Setting) -> Warp:
    steps = [torchio.RandomAffine(setting.scale, setting.degrees_zyx[::-1], isotropic=True)]
    if setting.mirror:
        steps.append(torchio.RandomFlip(axes=0, flip_probability=1))
    transform = torchio.Compose(steps)

    def warp(image: torch.Tensor, labels: torch.Tensor) -> torchio.Subject:
        subject = torchio.Subject(image=torchio.ScalarImage(tensor=image), label=torchio.LabelMap(tensor=labels))
        return transform(subject)

    return warp


CONTENDERS: dict[str, Callable[[Setting], Warp]] = {
    "MONAI RandAffined": warp_of_monai,
    "batchgeneratorsv2 SpatialTransform": warp_of_batchgenerators,
    "batchgeneratorsv2 SpatialTransform, nearest labels": partial(warp_of_batchgenerators, mode_seg="nearest"),
    "TorchIO RandomAffine": warp_of_torchio,
}


def random_patches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns images of noise with labels in cubes, each with an axis of channels."""
    generator = np.random.default_rng(SEED)
    images = generator.standard_normal((PATCHES, 1, SIZE, SIZE, SIZE), np.float32)
    cubes = generator.integers(3, size=(PATCHES, 1, *(SIZE // BLOCK,) * 3), dtype=np.int16)
    labels = np.kron(cubes, np.ones((BLOCK,) * 3, np.int16))
    return list(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))


def median_ms(warp: Warp, patches: list[tuple[torch.Tensor, torch.Tensor]], repeats: int) -> float:
    """Returns milliseconds per patch."""
    milliseconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        for image, labels in patches:
            warp(image, labels)
        milliseconds.append(1000 * (time.perf_counter() - start) / len(patches))
    return statistics.median(milliseconds[1:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8)
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(cores)
    patches = random_patches()
    for title, setting in SETTINGS.items():
        for name, build in CONTENDERS.items():
            np.random.seed(SEED)
            torch.manual_seed(SEED)
            ms = median_ms(build(setting), patches, arguments.repeats)
            print(json.dumps({"name": name, "setting": title, "ms_per_patch": round(ms, 1)}), flush=True)
