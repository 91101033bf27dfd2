"""How much of the class weights a decision should take back: a trained run, its last bias moved, scored on cases.

    python benchmarks/decision.py --run_dir=RUN --adjustments=1,0.75,0.5,0

A network that was trained on a weighted cross-entropy with --logit_adjustment=a differs from one that was trained with
another a by a multiple of the logarithm of the weights in its last bias (docs/losses.md). So one training shows what
all of them decide. Dice is KiTS19's, on the scans' own grids, without post-processing; means over the cases.
"""

from dataclasses import replace

import numpy as np
from absl import app, flags

from kits_tf.analysis.case_scoring import read_truth
from kits_tf.analysis.evaluation import cases_of_split
from kits_tf.analysis.scores import KIDNEY_DICE, TUMOR_DICE, dice_scores
from kits_tf.config import InferenceSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.network.weighting import class_weights
from kits_tf.pipeline.patch_classes import count_patch_voxels
from kits_tf.training.run import Run, load_run

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run whose network has its bias in its last layer.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the cases. Default: where convert found them.")
SPLIT = flags.DEFINE_enum("split", "validation", ["validation", "test"], "Cases to score.")
ADJUSTMENTS = flags.DEFINE_list(
    "adjustments", ["1", "0.75", "0.5", "0.25", "0"], "Values of --logit_adjustment to try."
)


def main(_: list[str]) -> None:
    run = load_run(RUN_DIR.value)
    scheme = run.manifest.scheme
    cases = cases_of_split(run.manifest, SPLIT.value, DATA_DIR.value or run.manifest.data_dir)
    pairs = [read_truth(files, scheme) for files in cases]
    logarithms = np.log(_inverse_weights(run))
    layer = next(layer for layer in reversed(run.network.layers) if layer.weights)
    kernel, bias = layer.get_weights()
    print(f"| adjustment | kidney | tumor |  {SPLIT.value}, {len(pairs)} cases\n|---|---|---|")
    for adjustment in map(float, ADJUSTMENTS.value):
        layer.set_weights([kernel, bias + (_trained_adjustment(run) - adjustment) * logarithms])
        segmenter = build_segmenter([run], InferenceSettings(postprocess="off"))
        model = replace(segmenter.model(), accept_intensities=True)
        scores = [dice_scores(truth, model.labels(image), scheme) for image, truth in pairs]
        kidney, tumor = (np.nanmean([row[key] for row in scores]) for key in (KIDNEY_DICE, TUMOR_DICE))
        print(f"| {adjustment:g} | {kidney:.3f} | {tumor:.3f} |", flush=True)


def _inverse_weights(run: Run) -> tuple[float, ...]:
    settings = run.settings
    voxels = count_patch_voxels(run.manifest, settings.records_dir, settings.patches, settings.seed)
    return class_weights(voxels, "inverse")


def _trained_adjustment(run: Run) -> float:
    """Returns the adjustment that a run was trained with; a run without weights decides as with an adjustment of 1."""
    objective = run.settings.objective
    return 1.0 if objective.class_weighting == "none" else objective.logit_adjustment


if __name__ == "__main__":
    app.run(main)
