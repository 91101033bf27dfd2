"""python -m kits_tf.demo: the whole line on phantoms, from volumes to a served mask and its picture; a real scan."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from kits_tf import convert, evaluate, export, figures, phantom, predict, report, train
from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import require_writable
from kits_tf.base.settings import Settings, select, setting
from kits_tf.base.words import count_text
from kits_tf.config import (
    AppearanceSettings,
    GridSettings,
    InferenceSettings,
    InputSettings,
    IntensitySettings,
    LossSettings,
    NetworkSettings,
    OptimizationSettings,
    PatchSettings,
    SplitSettings,
    ValidationSettings,
    WarpSettings,
    shared,
)

MARKER = ".kits_tf_demo"
# Everything that a demo writes, and the next one replaces.
FOLDERS = ("data", "records", "run", "model", "masks", "figures", "real")
NOTE = "Phantoms: they show that every step runs, and say nothing about real CT."


@dataclass(frozen=True, kw_only=True)
class Demo(Settings):
    """Runs every step on phantoms: data, records, training, scores, export, masks, figures; then a real scan."""

    output_dir: str = setting(
        "demo", "Folder for the files of the demo; an earlier demo in it is replaced, other files in it stay."
    )
    scan: str = setting(
        "", "A real scan (NIfTI), which the starter network segments at the end. Default: phantoms only.", is_path=True
    )
    num_cases: int = setting(14, "Phantoms to make.", minimum=4, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting((4.0, 2.0, 2.0), "Voxel size in mm.", above=0)
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    input: InputSettings = field(default_factory=InputSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    objective: LossSettings = field(default_factory=LossSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)


def main(settings: Demo) -> None:
    """Runs every command in turn, each on what the one before it wrote.

    Raises:
        InputError: the folder holds something else than a demo, or a step failed.
    """
    start, root = monotonic(), Path(settings.output_dir)
    test_cases = _test_cases(settings)
    report.require_packages()
    if settings.scan and not (Path(settings.scan).is_file() and settings.scan.endswith((".nii", ".nii.gz"))):
        raise InputError(f"--scan={settings.scan}: expected a NIfTI file, found none")
    require_writable(root)
    _empty(root)
    data, records = str(root / "data"), str(root / "records")
    run, model = str(root / "run"), str(root / "model")
    masks, pictures = str(root / "masks"), str(root / "figures")

    _announce(f"phantom --output_dir={data} --num_cases={settings.num_cases}")
    phantom.main(select(phantom.Phantom, settings, output_dir=data))
    _announce(f"convert --data_dir={data} --records_dir={records}")
    convert.main(select(convert.Convert, settings, data_dir=data, records_dir=records))
    _announce(f"train --records_dir={records} --run_dir={run}")
    training_start = monotonic()
    train.main(select(train.Train, settings, records_dir=records, run_dir=run))
    training_s = monotonic() - training_start
    _announce(f"export --run_dir={run} --export_dir={model}")
    export.main(select(export.Export, settings, run_dir=run, export_dir=model))
    scans = [str(Path(data) / f"case_{number:05d}") for number in test_cases]
    _announce(f"predict --model={model} --output_dir={masks} {' '.join(scans)}")
    predict.main(select(predict.Predict, settings, model=model, output_dir=masks), scans)
    _announce(f"figures --predictions_dir={masks} --data_dir={data} --output_dir={pictures}")
    paths = {"predictions_dir": masks, "data_dir": data, "output_dir": pictures}
    figures.main(select(figures.Figures, settings, **paths), [])
    _announce(f"evaluate --run_dir={run} --split=test")
    evaluate.main(evaluate.Evaluate(run_dir=run, split="test", inference=settings.inference))
    print(_meaning_of_scores(settings, training_s))
    _announce(f"report --run_dir={run} --split=test --data_note='{NOTE}'")
    report.main(report.Report(run_dir=run, split="test", data_note=NOTE))
    if settings.scan:
        _segment_real_scan(settings.scan, root / "real")

    print(f"\nDone in {monotonic() - start:.0f} s. What was written:")
    _print_contents(root)
    print(f"\nTo drop a scan on a page and see its kidneys: {os.path.relpath(sys.executable)} -m kits_tf.app")


def _meaning_of_scores(settings: Demo, training_s: float) -> str:
    """Returns a line on what the scores of a demo mean, with the numbers of this one."""
    basis = f"{count_text(settings.num_cases, 'phantom')} and {training_s:.0f} s of training"
    return (
        f"\n{basis}: these scores show that every step runs, not how well kits_tf segments; a tumor Dice of 0 in a "
        "case is usual."
    )


def _segment_real_scan(scan: str, folder: Path) -> None:
    """Segments a scan by the starter network, and draws it with its mask."""
    _announce(f"predict --output_dir={folder} {scan}")
    predict.main(predict.Predict(output_dir=str(folder)), [scan])
    _announce(f"figures --predictions_dir={folder} --output_dir={folder} {scan}")
    figures.main(figures.Figures(predictions_dir=str(folder), output_dir=str(folder)), [scan])


def _print_contents(root: Path) -> None:
    """Prints a line for each folder that the demo has written."""
    contents = {
        "data": "phantoms in KiTS19's layout",
        "records": "TFRecord shards and manifest.json",
        "run": "flags, versions, weights, history, evaluation/test/{cases.csv,lesions.csv,summary.json,masks}",
        f"run/evaluation/test/{report.NAME}": "all of that to look at: open it in a browser",
        "model": "the SavedModel for TensorFlow Serving, in its version's folder",
        "masks": "masks that the SavedModel made of the held-out scans",
        "figures": "pictures of truth and prediction",
        "real": "a real scan's mask by the starter network, and its picture",
    }
    for name, content in contents.items():
        if (root / name).exists():
            print(f"  {root / name!s:<20} {content}")


def _empty(root: Path) -> None:
    """Makes the folder, and removes what an earlier demo has written to it; other files stay."""
    if root.exists() and not (root / MARKER).exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: expected a new folder or an earlier demo, found other files")
    if (root / MARKER).exists():
        print(f"{root}: the earlier demo is replaced, other files stay")
    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).touch()


def _test_cases(settings: Demo) -> list[int]:
    """Returns the numbers of the phantoms that are held out; without any the demo would end without a score."""
    from kits_tf.ct.layouts import parse_case_numbers

    test_cases = settings.splits.test_cases
    numbers = sorted(parse_case_numbers(test_cases) & set(range(settings.num_cases)))
    if not numbers:
        phantoms = f"expected some of the phantoms 0-{settings.num_cases - 1}, got {test_cases}"
        raise InputError(f"--test_cases: {phantoms} (--flagfile=configs/smoke.flags has the demo's settings)")
    return numbers


def _announce(command: str) -> None:
    print(f"\n$ python -m kits_tf.{command}", flush=True)


COMMAND = Command(name="demo", settings=Demo, main=main)

if __name__ == "__main__":
    COMMAND.run()
