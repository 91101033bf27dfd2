"""Which chain of post-processing helps a run: tried on its validation cases, kept only where it surely does."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kits_tf.analysis.evaluation import cases_of, read_truth
from kits_tf.analysis.scores import confusion, dice_scores
from kits_tf.analysis.statistics import Difference, difference
from kits_tf.base.errors import InputError
from kits_tf.base.files import write_text
from kits_tf.base.progress import track
from kits_tf.config import EvaluationSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.postprocess import CRF, Context, apply_chain, parse_postprocess
from kits_tf.training.run import POSTPROCESS, load_run

_MASK_CHAINS = (
    "kidneys",
    "touch",
    "fill",
    "specks:0.5",
    "sides",
    "open:1",
    "close:2",
    "kidneys,touch",
    "kidneys,touch,fill",
    "kidneys,touch,fill,specks:0.1",
    "kidneys,touch,fill,specks:0.5",
    "kidneys,touch,fill,specks:0.5,sides",
)
CHAINS = ("", *_MASK_CHAINS, CRF, *(f"{CRF},{chain}" for chain in _MASK_CHAINS))
# With fewer paired differences not even a test that none of them contradicts finds anything at 5 %.
FEWEST_CASES = 6


@dataclass(frozen=True)
class Tried:
    """A chain on the validation cases.

    Attributes:
        chain: as --postprocess takes it.
        mean: of the score, see `choose_chain`.
        gain: over masks as the network gives them.
    """

    chain: str
    mean: float
    gain: Difference


def choose_chain(settings: EvaluationSettings) -> tuple[str, list[Tried]]:
    """Returns the chain that is best of those whose gain has a 95 % interval above 0, "" if none has, and all tried.

    The score of a case is the mean of KiTS19's composite and of the mean Dice over the classes of the scheme, so that
    sides count too. The choice is written to the run, for evaluate, predict and export.

    Raises:
        InputError: the run cannot be used, or has fewer than FEWEST_CASES validation cases.
    """
    run_dir = Path(settings.run_dir or "")
    run = load_run(run_dir)
    cases = cases_of(run.manifest, "validation", settings.data_dir or run.manifest.data_dir)
    if len(cases) < FEWEST_CASES:
        raise InputError(
            f"{run_dir}: --postprocess=auto: expected {FEWEST_CASES} validation cases or more, found {len(cases)}"
        )
    scheme, scores = run.manifest.scheme, np.empty((len(CHAINS), len(cases)))
    models = {
        first: build_segmenter([run], replace(settings.inference, postprocess=first or "off")).model()
        for first in ("", CRF)
    }
    for column, files in enumerate(track(cases, "post-processing of case", len(cases))):
        image, truth = read_truth(files, scheme)
        context = Context(scheme, image.grid.spacing_mm, image.array)
        masks = {first: replace(model, chain=()).labels(image) for first, model in models.items()}
        for row, text in enumerate(CHAINS):
            steps = parse_postprocess(text)
            labels = apply_chain(masks[CRF if steps.crf else ""], context, steps.chain)
            found = dice_scores(confusion(truth, labels, len(scheme.classes)), scheme)
            by_class = [value for name, value in found.items() if name.startswith("dice_")]
            scores[row, column] = (found["composite"] + np.mean(by_class)) / 2
    tried = [
        Tried(chain, float(of_chain.mean()), difference("score", scores[0], of_chain))
        for chain, of_chain in zip(CHAINS, scores, strict=True)
    ]
    helpful = [each for each in tried if each.gain.interval_95[0] > 0]
    chosen = max(helpful, key=lambda each: each.mean).chain if helpful else ""
    _write(run_dir / POSTPROCESS, chosen, tried)
    return chosen, tried


def _write(path: Path, chosen: str, tried: list[Tried]) -> None:
    rows = [
        {
            "chain": each.chain,
            "mean": each.mean,
            "gain": each.gain.mean,
            "interval_95": each.gain.interval_95,
            "p_value": each.gain.p_value,
        }
        for each in tried
    ]
    facts = {"chain": chosen, "validation_cases": tried[0].gain.num_cases, "tried": rows}
    write_text(path, json.dumps(facts, indent=1) + "\n")
