"""Trained runs -> the segmenter that averages them."""

from collections.abc import Sequence

import tensorflow as tf

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings
from kits_tf.inference.chain import CRF, Step, parse_chain
from kits_tf.inference.crf import Crf
from kits_tf.inference.ensemble import Passes
from kits_tf.inference.segmenter import NO_EXTRAS, Coarse, Extras, Frame, Segmenter
from kits_tf.inference.sliding import Windows
from kits_tf.network.cost import trace_cost
from kits_tf.training.run import Run, load_runs

# Share of a GPU's memory that windows may take.
_GPU_SHARE = 0.5
_MOST_AT_ONCE = 8


def segmenter_of(
    runs: Sequence[Run],
    inference: InferenceSettings,
    extras: Extras = NO_EXTRAS,
    precision: str = "float32",
) -> Segmenter:
    """Returns what segments scans by the average of trained networks.

    Args:
        runs: of the same grid, labels and window, whose logits are averaged.
        inference: how windows lie and are merged, the mirror images that are averaged, and the coarse model.
        extras: as `Segmenter` takes it, and what follows too.
        precision: that the networks compute in, as Keras names it.

    Raises:
        InputError: the runs do not fit together, uncertainty is asked of a single pass, or the coarse model cannot be
            loaded.
    """
    _check_fit(runs)
    first, is_single = runs[0], len(runs) == 1
    with devices.layers_in(precision):
        networks = [(run.architecture.folded(run.network), run.settings.intensity) for run in runs]
    chain = parse_chain(inference.postprocess or (first.postprocess if is_single else ""))
    crf = Crf(first.manifest.grid.spacing_zyx_mm) if Step(CRF) in chain else None
    passes = Passes(networks, first.manifest.scheme, inference.flip_axes, extras.uncertainty, crf)
    if extras.uncertainty and passes.count == 1:
        raise InputError("uncertainty: expected --flip_axes or several models, got a single pass, which has none")
    window = first.settings.patches.patch_size_zyx
    windows = Windows(window, inference.overlap, inference.window_weights, windows_at_once(passes, window))
    frame = Frame(first.manifest.grid, first.manifest.scheme, windows, first.temperature if is_single else 1.0, chain)
    coarse = None
    if inference.coarse_model:
        finds = segmenter_of(load_runs(inference.coarse_model), InferenceSettings(), precision=precision)
        coarse = Coarse(finds, inference.coarse_margin_mm)
    return Segmenter(passes, frame, extras, passes.count, coarse)


def windows_at_once(passes: Passes, window: tuple[int, int, int]) -> int:
    """Returns how many windows a GPU's memory holds at once, of which a few are as fast as many; 1 without a GPU.

    On a CPU one window occupies all cores.
    """
    if not tf.config.list_physical_devices("GPU"):
        return 1
    needed = trace_cost(passes, tf.TensorSpec([1, *window], tf.int16)).peak_bytes
    return max(1, min(_MOST_AT_ONCE, int(_GPU_SHARE * (devices.device_memory() or 0) / needed)))


def _check_fit(runs: Sequence[Run]) -> None:
    """Checks that networks can be averaged.

    Raises:
        InputError: they have different grids, label schemes or windows.
    """
    kinds = [(r.manifest.grid, r.manifest.scheme, r.settings.patches.patch_size_zyx) for r in runs]
    names = ("grid", "label scheme", "patch size")
    for run, kind in zip(runs[1:], kinds[1:], strict=True):
        for name, first, other in zip(names, kinds[0], kind, strict=True):
            if first != other:
                raise InputError(
                    f"{run.settings.run_dir}: expected the {name} of {runs[0].settings.run_dir} to average with, "
                    f"{first}, got {other}"
                )
