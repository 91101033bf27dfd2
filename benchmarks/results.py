"""The tables of docs/results.md: recipes trained on the same cases, scored on the same others, and what each gained.

    python benchmarks/results.py --data_dir=DATA --work_dir=results-work

Cases 0 to 143 train, 144 to 159 validate and choose, 160 to 179 test. A recipe is a flag file of configs/ and what
RECIPES changes of it; all is done by the commands that users have. What is done is not done again: stopped at any time,
the same command goes on. Takes hours on two cores; --gpu_recipes adds what wants a GPU.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import numpy as np
from absl import app, flags
from training_commands import ROOT, check_finished, run_command

from kits_tf import config
from kits_tf.analysis.evaluation_files import SUMMARY_NAME, compare, read_summary, scores_dir_of_masks
from kits_tf.analysis.scores import KIDNEY_DICE, TUMOR_DICE
from kits_tf.analysis.statistics import Difference
from kits_tf.base.flagfile import from_flagfile
from kits_tf.training.run_files import FLAGS, POSTPROCESS

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases 0 to 179, real or simulated.", required=True)
WORK_DIR = flags.DEFINE_string("work_dir", "results-work", "Folder for records, runs, masks, scores and logs.")
DATA_NOTE = flags.DEFINE_string("data_note", "", "What the scans are, if they are not what they seem: for the reports.")
GPU_RECIPES = flags.DEFINE_boolean("gpu_recipes", False, "The recipes for a GPU too: a day on two cores.")
ONLY = flags.DEFINE_list("only", [], "Names of recipes; those that they need are added. Default: all.")
AT_ONCE = flags.DEFINE_integer("at_once", 2, "Recipes that are trained side by side, each on cores of its own.")
SPLITS = {"train": range(144), "validation": range(144, 160), "test": range(160, 180)}
SCORES = (KIDNEY_DICE, TUMOR_DICE)


@dataclass(frozen=True)
class Recipe:
    """A way to train and to use a network.

    Attributes:
        name: of its folders.
        title: what the tables call it.
        config: flag file of convert, train and predict, in configs/.
        training: further flags of train.
        inference: further flags of predict.
        coarse: name of the recipe whose network finds the box for this one.
        trained_as: names of the recipes whose networks it averages.
        begins_with: name of the recipe whose weights its training begins with.
        chooses: whether post-processing is chosen on the validation cases, by the first network.
        against: name of the recipe that it is compared with.
        tested: whether the test cases are scored too.
    """

    name: str
    title: str
    config: str
    training: tuple[str, ...] = ()
    inference: tuple[str, ...] = ()
    coarse: str = ""
    trained_as: tuple[str, ...] = ()
    begins_with: str = ""
    chooses: bool = False
    against: str = ""
    tested: bool = False


# Flag files whose records are those of another one.
_SAME_RECORDS = {"body_record": "body", "fine_gpu": "fine"}
_MIRRORED = ("--flip_axes=x",)
_OTHER_SEED = ("--seed=20",)
_SHORT = ("--epochs=6",)
# The recipe of record in an eighth of its steps, to tell apart what it consists of.
_BRIEF = ("--epochs=12", "--patches_per_case=4")
_PLAIN_DICE = ("--overlap_over=batch", "--nooverlap_squared", "--nooverlap_background", "--nooverlap_absent")
# Smaller patches, which a CPU bears, the loss of fine.flags, and a rate that falls to nothing.
_SETTLED = (
    "--epochs=1",
    "--warmup_epochs=0.1",
    "--learning_rate=0.0008",
    "--average_decay=0.99",
    "--batch_size=2",
    "--patch_size_zyx=32,48,48",
    "--overlap_squared",
    "--overlap_background",
    "--overlap_absent",
)
# Each row differs from the one it is compared with by what its title says.
RECIPES = (
    Recipe("record", "recipe of record", "body_record", tested=True),
    Recipe("record_again", "recipe of record, another seed", "body_record", _OTHER_SEED, against="record", tested=True),
    Recipe(
        "record_best",
        "recipe of record, mirror images, chosen post-processing",
        "body_record",
        inference=_MIRRORED,
        trained_as=("record",),
        chooses=True,
        against="record",
        tested=True,
    ),
    Recipe("body", "Dice and cross-entropy", "body", against="record", tested=True),
    Recipe("body_again", "Dice and cross-entropy, another seed", "body", _OTHER_SEED, against="body", tested=True),
    Recipe("coarse", "8 mm", "coarse", against="body"),
    Recipe("fine", "cascade: 8 mm, then 3 x 2 x 2 mm", "fine", coarse="coarse", against="body", tested=True),
    Recipe("fine_again", "cascade, another seed", "fine", _OTHER_SEED, coarse="coarse", against="fine", tested=True),
    Recipe(
        "best",
        "cascade, mirror images, chosen post-processing",
        "fine",
        inference=_MIRRORED,
        trained_as=("fine",),
        coarse="coarse",
        chooses=True,
        against="fine",
        tested=True,
    ),
    Recipe(
        "pair",
        "cascade, both seeds averaged, mirror images, chosen post-processing",
        "fine",
        inference=_MIRRORED,
        trained_as=("fine", "fine_again"),
        coarse="coarse",
        chooses=True,
        against="best",
        tested=True,
    ),
    Recipe("large", "cascade, large network", "fine_gpu", coarse="coarse", against="fine"),
    Recipe(
        "settled",
        "large network, 576 more steps at a falling rate",
        "fine_gpu",
        _SETTLED,
        coarse="coarse",
        begins_with="large",
        against="large",
        tested=True,
    ),
    Recipe(
        "largest",
        "the same, mirror images, chosen post-processing",
        "fine_gpu",
        inference=_MIRRORED,
        trained_as=("settled",),
        coarse="coarse",
        chooses=True,
        against="settled",
        tested=True,
    ),
    Recipe("brief", "record, an eighth of the steps", "body_record", _BRIEF, against="record"),
    Recipe(
        "brief_constant",
        "constant learning rate",
        "body_record",
        (*_BRIEF, "--learning_rate_schedule=constant"),
        against="brief",
    ),
    Recipe("brief_undropped", "no dropout", "body_record", (*_BRIEF, "--dropout=0"), against="brief"),
    Recipe("brief_unweighted", "no weights", "body_record", (*_BRIEF, "--class_weighting=none"), against="brief"),
    Recipe("short", "Dice and cross-entropy, an eighth of the steps", "body", _SHORT, against="body"),
    Recipe("short_plain", "Dice of the batch, not squared", "body", (*_SHORT, *_PLAIN_DICE), against="short"),
    Recipe("short_around", "patches around kidneys", "body", (*_SHORT, "--foreground_fraction=0.9"), against="short"),
    Recipe("short_deep", "deep supervision", "body", (*_SHORT, "--deep_supervision"), against="short"),
)


def main(_: list[str]) -> None:
    for name in ("logs", "records", "runs", "masks"):
        (_work_dir() / name).mkdir(parents=True, exist_ok=True)
    splits = {name: [f"case_{number:05d}" for number in numbers] for name, numbers in SPLITS.items()}
    _splits_file().write_text(json.dumps(splits))
    recipes = _chosen()
    trained = [recipe for recipe in recipes if not recipe.trained_as]
    for recipe in {_records_dir(recipe): recipe for recipe in trained}.values():
        _convert(recipe)
    cores, lanes = sorted(os.sched_getaffinity(0)), Queue[set[int]]()
    for lane in range(AT_ONCE.value):
        lanes.put(set(cores[lane :: AT_ONCE.value]))
    with ThreadPoolExecutor(AT_ONCE.value) as pool:
        for is_later in (False, True):
            now = [recipe for recipe in trained if bool(recipe.begins_with) == is_later]
            list(pool.map(lambda recipe: _train(recipe, lanes), now))
    for recipe in recipes:
        for split in _splits(recipe):
            _score(recipe, split)
        if recipe.tested:
            _report(recipe)
    print("\n".join(_table(recipes, split) for split in ("validation", "test")))
    _draw([recipe for recipe in trained if not recipe.training], _work_dir() / "curves.png")


def _chosen() -> list[Recipe]:
    """Returns the recipes of --only and those that they need, or else all that the machine is for."""
    if not ONLY.value:
        return [recipe for recipe in RECIPES if GPU_RECIPES.value or not recipe.config.endswith("_gpu")]
    names = set(map(str.strip, ONLY.value))
    if unknown := names - {recipe.name for recipe in RECIPES}:
        raise SystemExit(f"--only: expected names of {', '.join(r.name for r in RECIPES)}, got {', '.join(unknown)}")
    for recipe in reversed(RECIPES):  # what a recipe needs stands before it
        if recipe.name in names:
            names |= {recipe.coarse, *recipe.trained_as, recipe.begins_with}
    return [recipe for recipe in RECIPES if recipe.name in names]


def _convert(recipe: Recipe) -> None:
    flags_ = [
        f"--data_dir={DATA_DIR.value}",
        f"--records_dir={_records_dir(recipe)}",
        f"--splits_file={_splits_file()}",
    ]
    _call(f"convert_{recipe.config}", "convert", recipe, *flags_)


def _train(recipe: Recipe, lanes: "Queue[set[int]]") -> None:
    """Trains on the cores of a lane that is free; stops if the training did, which is no failure of its own."""
    cores = lanes.get()
    os.sched_setaffinity(0, cores)  # of this thread, and of the processes that it starts
    try:
        paths = [f"--records_dir={_records_dir(recipe)}", f"--run_dir={_run_dir(recipe)}"]
        begin = [f"--initial_weights={_run_dir(_recipe(recipe.begins_with))}"] if recipe.begins_with else []
        _call(f"train_{recipe.name}", "train", recipe, *paths, *recipe.training, *begin)
        check_finished(_run_dir(recipe))
    finally:
        lanes.put(cores)


def _score(recipe: Recipe, split: str) -> None:
    """Segments the cases of a split and scores the masks; before that, post-processing is chosen where it is."""
    masks_dir = _masks_dir(recipe, split)
    if _scores_file(recipe, split).exists():
        return
    scans = [str(Path(DATA_DIR.value) / f"case_{number:05d}") for number in SPLITS[split]]
    coarse = [f"--coarse_model={_run_dir(_recipe(recipe.coarse))}"] if recipe.coarse else []
    how = [*coarse, *recipe.inference]
    how.append(f"--postprocess={_chosen_steps(recipe, how) if recipe.chooses else 'off'}")
    used = [f"--model={','.join(map(str, _networks(recipe)))}", f"--output_dir={masks_dir}", *how]
    _call(f"predict_{recipe.name}_{split}", "predict", recipe, *used, *scans)
    _call(f"evaluate_{recipe.name}_{split}", "evaluate", recipe, *_against_truth(masks_dir))


def _chosen_steps(recipe: Recipe, how: list[str]) -> str:
    """Returns the post-processing that is best for the recipe's first network on the validation cases."""
    first = _networks(recipe)[0]
    if not (first / POSTPROCESS).exists():
        _call(f"choose_{recipe.name}", "evaluate", recipe, f"--run_dir={first}", "--postprocess=auto", *how)
    return str(json.loads((first / POSTPROCESS).read_text())["chain"])


def _report(recipe: Recipe) -> None:
    """Writes the page of the test cases: charts, every case's figure, a viewer."""
    masks_dir = _masks_dir(recipe, "test")
    if not (scores_dir_of_masks(masks_dir) / "report.html").exists():
        note = f"--data_note={DATA_NOTE.value}"
        _call(f"report_{recipe.name}", "report", recipe, *_against_truth(masks_dir), note)


def _against_truth(masks_dir: Path) -> list[str]:
    return [f"--predictions_dir={masks_dir}", f"--data_dir={DATA_DIR.value}"]


def _call(log: str, command: str, recipe: Recipe, *arguments: str) -> None:
    """Runs a command with the recipe's flag file, its output in a file of the work folder; stops if it fails."""
    flagfile = f"--flagfile={ROOT}/configs/{recipe.config}.flags"
    run_command(_work_dir() / "logs" / f"{log}.txt", command, flagfile, *arguments)


def _table(recipes: list[Recipe], split: str) -> str:
    """Returns a table of the recipes that were scored on a split, with what each gained over the one before it."""
    rows = [
        f"| {split}, {len(SPLITS[split])} cases | kidney | tumor | kidney, gain | tumor, gain |",
        "|---|---|---|---|---|",
    ]
    for recipe in recipes:
        if split in _splits(recipe):
            summary = read_summary(scores_dir_of_masks(_masks_dir(recipe, split)))
            statistics = [summary.scores[key] for key in SCORES]
            means = [f"{one.mean:.3f} {_interval(one.interval_95, '.3f')}" for one in statistics]
            gains = [f"{gain.mean:+.3f} {_interval(gain.interval_95, '+.3f')}" for gain in _gains(recipe, split)]
            rows.append(f"| {' | '.join([recipe.title, *means, *(gains or ['', ''])])} |")
    return "\n".join(rows) + "\n"


def _gains(recipe: Recipe, split: str) -> list[Difference]:
    """Returns how the scores differ from those of the recipe that it is compared with, case by case."""
    if not recipe.against or not _scores_file(_recipe(recipe.against), split).exists():
        return []
    folders = [str(scores_dir_of_masks(_masks_dir(of, split))) for of in (_recipe(recipe.against), recipe)]
    gains = {difference.key: difference for difference in compare(*folders)}
    return [gains[key] for key in SCORES]


def _draw(recipes: list[Recipe], path: Path) -> None:
    """Draws Dice over the validation patches, which are each recipe's own, against the share of its epochs."""
    from matplotlib.figure import Figure

    from kits_tf.training.history import read_history
    from kits_tf.views.drawings import canvas, style

    figure = Figure(figsize=(11, 4.6), facecolor=style.FACE, layout="constrained")
    for ax, region in zip(figure.subplots(1, 2), ("kidney", "tumor"), strict=True):
        for recipe in recipes:
            settings = from_flagfile(config.RunSettings, _run_dir(recipe) / FLAGS)
            dice = [row.validation[f"{region}_dice"] for row in read_history(_run_dir(recipe))]
            shares = np.arange(1, len(dice) + 1) / settings.optimization.epochs
            ax.plot(shares, dice, linewidth=1.5, label=recipe.name)
        canvas.decorate(ax, region)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_xlabel("share of the epochs", color=style.TEXT)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right", labelcolor=style.TEXT, frameon=False)
    figure.supylabel("Dice, over all validation patches", color=style.TEXT, fontsize=9)
    canvas.save(figure, path)


def _interval(bounds: tuple[float, float], form: str) -> str:
    return f"({bounds[0]:{form}} to {bounds[1]:{form}})"


def _splits(recipe: Recipe) -> list[str]:
    return ["validation", "test"] if recipe.tested else ["validation"]


def _recipe(name: str) -> Recipe:
    return next(recipe for recipe in RECIPES if recipe.name == name)


def _work_dir() -> Path:
    return Path(WORK_DIR.value).resolve()


def _splits_file() -> Path:
    return _work_dir() / "splits.json"


def _records_dir(recipe: Recipe) -> Path:
    return _work_dir() / "records" / _SAME_RECORDS.get(recipe.config, recipe.config)


def _networks(recipe: Recipe) -> list[Path]:
    return [_work_dir() / "runs" / name for name in recipe.trained_as or [recipe.name]]


def _run_dir(recipe: Recipe) -> Path:
    """Returns the folder of a recipe that trains a network of its own."""
    return _networks(recipe)[0]


def _scores_file(recipe: Recipe, split: str) -> Path:
    return scores_dir_of_masks(_masks_dir(recipe, split)) / SUMMARY_NAME


def _masks_dir(recipe: Recipe, split: str) -> Path:
    return _work_dir() / "masks" / recipe.name / split


if __name__ == "__main__":
    app.run(main)
