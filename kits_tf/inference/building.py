"""Trained runs -> the segmenter that averages them."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings, IntensitySettings
from kits_tf.ct.geometry import Triple
from kits_tf.inference.crf import Crf
from kits_tf.inference.ensemble import Ensemble
from kits_tf.inference.postprocess import Postprocessing, parse_postprocess
from kits_tf.inference.segmenter import NO_MAPS, CoarseLocator, InferencePlan, OptionalMaps, Segmenter
from kits_tf.inference.sliding import SlidingWindow
from kits_tf.network.cost import trace_cost
from kits_tf.training.run import Run, load_runs

# Share of a GPU's memory that a batch of windows may take, and the most windows in one: a few are as fast as many.
_MEMORY_SHARE = 0.5
_LARGEST_BATCH = 8


def build_segmenter(
    runs: Sequence[Run],
    inference: InferenceSettings,
    maps: OptionalMaps = NO_MAPS,
    precision: str = "float32",
) -> Segmenter:
    """Returns the segmenter that averages the logits of trained networks.

    Args:
        runs: runs of the same grid, labels and window.
        inference: settings of windows, mirror images, cascade and post-processing.
        maps: maps to give besides labels.
        precision: dtype policy that the networks compute in, as Keras names it.

    Raises:
        InputError: the runs do not fit together, uncertainty is asked of a single pass, or the coarse model cannot be
            loaded.
    """
    _check_fit(runs)
    first = runs[0]
    postprocessing = _postprocessing(runs, inference)
    ensemble = Ensemble(
        _folded_networks(runs, precision),
        first.manifest.scheme,
        inference.flip_axes,
        disagreement=maps.uncertainty,
        crf=Crf(spacing_zyx_mm=first.manifest.grid.spacing_zyx_mm) if postprocessing.crf else None,
    )
    if maps.uncertainty and ensemble.num_passes == 1:
        raise InputError("uncertainty: expected --flip_axes or several models, got a single pass, which has none")
    size = first.settings.patches.patch_size_zyx
    plan = InferencePlan(
        grid=first.manifest.grid,
        scheme=first.manifest.scheme,
        window=SlidingWindow(
            size=size,
            overlap=inference.overlap,
            weighting=inference.window_weights,
            batch_size=_batch_size(ensemble, size),
        ),
        temperature=first.temperature if len(runs) == 1 else 1.0,
        postprocessing=postprocessing,
    )
    return Segmenter(ensemble, plan, maps, ensemble.num_passes, _coarse_locator(inference, precision))


def _folded_networks(runs: Sequence[Run], precision: str) -> list[tuple[keras.Model, IntensitySettings]]:
    """Returns each run's network with batch norm folded into its convolutions, and the intensities it was trained on.

    The layers that folding makes compute in the precision asked for.
    """
    with devices.layers_in(precision):
        return [(run.architecture.folded(run.network), run.settings.intensity) for run in runs]


def _postprocessing(runs: Sequence[Run], inference: InferenceSettings) -> Postprocessing:
    """Returns the post-processing of the settings, or else what was chosen for a single run."""
    return parse_postprocess(inference.postprocess or (runs[0].postprocess if len(runs) == 1 else ""))


def _coarse_locator(inference: InferenceSettings, precision: str) -> CoarseLocator | None:
    """Returns the first stage of a cascade, a run with default settings; None if there is no cascade."""
    if not inference.coarse_model:
        return None
    segmenter = build_segmenter(load_runs(inference.coarse_model), InferenceSettings(), precision=precision)
    return CoarseLocator(segmenter, inference.coarse_margin_mm)


def _batch_size(ensemble: Ensemble, size: Triple) -> int:
    """Returns how many windows of a size a GPU's memory holds at once; 1 without a GPU: one occupies all cores."""
    if not tf.config.list_physical_devices("GPU"):
        return 1
    bytes_of_window = trace_cost(ensemble, tf.TensorSpec([1, *size], tf.int16)).peak_bytes
    return max(1, min(_LARGEST_BATCH, int(_MEMORY_SHARE * (devices.device_memory() or 0) / bytes_of_window)))


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
