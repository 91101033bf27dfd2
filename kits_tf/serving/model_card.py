"""The model card: the data of a model's training, its scores, its use and its limits.

After Mitchell et al. 2019, "Model cards for model reporting", arXiv:1810.03993.
"""

from collections.abc import Sequence
from pathlib import Path

from kits_tf.analysis.calibration import Calibration, Reliability
from kits_tf.analysis.evaluation_files import SUMMARY_NAME, read_summary, scores_dir_of_run
from kits_tf.analysis.scores import COMPOSITE, KIDNEY_DICE, TUMOR_DICE, class_score
from kits_tf.analysis.statistics import Statistics
from kits_tf.base.settings import format_value
from kits_tf.serving.metadata import Metadata
from kits_tf.training.run import Run

CARD_NAME = "model_card.md"

_USE = """\
## Use

For research on the segmentation of kidneys and kidney tumors in contrast-enhanced abdominal CT of adults. It takes a
scan as it lies in its file, HU and affine, in any axis order, and returns a mask on the same voxels.

**Not a medical device.** No decision about a patient may rest on it.

Limits: it knows what its training cases showed. Other contrast phases, children, transplanted or absent kidneys,
horseshoe kidneys, scans that end within a kidney, and scanners unlike those of the training may give wrong masks
without any sign; `confidence` is the network's own estimate and does not reveal that. {sides}
"""
_SIDES = "Sides are recognized from the\npicture."
_NO_SIDES = "It has no labels for\nsides: `predict` tells right from left by where the kidneys lie in the body."


def model_card(runs: Sequence[Run], metadata: Metadata, calibration: Calibration | None) -> str:
    """Returns the card of an export of runs, in Markdown; `calibration` is None where there was none."""
    return "\n".join(
        [
            "# Kidneys and kidney tumors in CT",
            "",
            *_facts(runs, metadata),
            "",
            _USE.format(sides=_SIDES if "right_kidney" in metadata.classes else _NO_SIDES),
            "## Data",
            "",
            *[line for i, run in enumerate(runs) for line in _data(run, i if len(runs) > 1 else None)],
            "",
            "## Scores",
            "",
            *[line for run in runs for line in _scores(run)],
            "",
            "## Probabilities",
            "",
            *_calibration(calibration),
            "",
        ]
    )


def _facts(runs: Sequence[Run], metadata: Metadata) -> list[str]:
    network, grid = runs[0].settings.network, metadata.grid
    inference = metadata.inference
    rows = {
        "labels": ", ".join(f"{i} {name}" for i, name in enumerate(metadata.classes)),
        "networks": f"{len(runs)} of preset {network.preset}, {runs[0].network.count_params():,} parameters each, "
        f"{metadata.precision}",
        "training grid": f"{format_value(grid.spacing_zyx_mm)} mm (z, y, x)",
        "windows": f"{format_value(metadata.patch_size_zyx)} voxels (z, y, x), overlap {inference.overlap:g}, "
        f"{inference.window_weights} weights, mirrored along {inference.flip_axes or 'no axis'}",
        "first stage": _coarse(metadata),
        "loss": runs[0].settings.objective.loss,
        "post-processing": inference.postprocess,
        "notices": " ".join(metadata.notices) or "none",
        "written by": ", ".join(f"{name} {version}" for name, version in metadata.versions.items()),
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _coarse(metadata: Metadata) -> str:
    if metadata.coarse is None:
        return "none: the network looks at the whole body"
    coarse = metadata.coarse
    return (
        f"a network on a grid of {format_value(coarse.grid.spacing_zyx_mm)} mm finds the kidneys; the networks above "
        f"look at the box around them and {coarse.margin_mm:g} mm more; it has no part in the temperature below"
    )


def _data(run: Run, number: int | None) -> list[str]:
    counts = ", ".join(f"{len(ids)} {split}" for split, ids in run.manifest.splits.items() if ids)
    which = "" if number is None else f"Run {number}: "
    manifest = "manifest.json" if number is None else f"run{number}/manifest.json"
    if not counts:
        return [f"{which}{manifest} beside this card names none of its cases."]
    return [
        f"{which}{counts} cases. {manifest} beside this card names them, with the facts of each scan. Whether the "
        "data is real, simulated or phantoms, and its license, is known only to whoever trained the model."
    ]


def _scores(run: Run) -> list[str]:
    """Returns the scores that evaluate wrote for whole scans on their own grids, before this export."""
    lines = []
    for split in ("validation", "test"):
        scores_dir = scores_dir_of_run(Path(run.settings.run_dir), split)
        if not (scores_dir / SUMMARY_NAME).is_file():
            continue
        summary = read_summary(scores_dir)
        how = summary.inference or "the defaults of evaluate"
        rows = {key: summary.scores[key] for key in (KIDNEY_DICE, TUMOR_DICE, COMPOSITE)}
        rows |= {name: summary.scores[class_score(name)] for name in run.manifest.scheme.classes[1:]}
        lines += [
            f"{split}, {summary.num_cases} cases, on the scans' own grids, by {how}: mean and 95 % interval",
            "",
            "| Dice | mean | interval |",
            "|---|---|---|",
            *(_score_row(name, statistics) for name, statistics in rows.items() if statistics.mean is not None),
            "",
        ]
    return lines or ["Not evaluated when it was exported (`python -m kits_tf.evaluate --run_dir=RUN`)."]


def _score_row(name: str, statistics: Statistics) -> str:
    interval = "..".join(f"{end:.3f}" for end in statistics.interval_95 if end is not None) or "of one case, none"
    return f"| {name} | {statistics.mean:.3f} | {interval} |"


def _calibration(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return ["Not calibrated: the probabilities are the network's own."]
    return [
        f"Logits are divided by a temperature of {calibration.temperature:.3f}. It was fitted on the training grid of "
        f"{calibration.num_cases} validation cases, on {calibration.num_voxels:,} voxels that are labeled or predicted "
        "as anything but background; these figures are of the same voxels:",
        "",
        "| | before | after |",
        "|---|---|---|",
        f"| negative log-likelihood, nats | {calibration.before.nll:.4f} | {calibration.after.nll:.4f} |",
        f"| expected calibration error | {calibration.before.ece:.4f} | {calibration.after.ece:.4f} |",
        "",
        *_bins("before", calibration.before),
        "",
        *_bins("after", calibration.after),
    ]


def _bins(when: str, reliability: Reliability) -> list[str]:
    rows = [f"| {b.share:.1%} | {b.confidence:.3f} | {b.accuracy:.3f} |" for b in reliability.bins]
    return [f"Reliability {when}:", "", "| voxels | probability | right |", "|---|---|---|", *rows]
