"""What documents tell a reader to type: every command line is one that its command takes, and README's lines run."""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bodies import write_label_maps
from conftest import OF_PHANTOMS, TINY_SPLITS, convert_settings, train_settings
from documents import SKIPPED, lay, reader, reason_to_skip, steps
from scripts import ROOT

from kits_tf import convert, evaluate, phantom, predict, train
from kits_tf.base.command import all_commands
from kits_tf.ct.volume import read_labels

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("configs/*.flags")])


def command_lines(text: str) -> Iterator[str]:
    """Yields what follows `python -m kits_tf.` up to a comment or the end of the code, with all optional parts."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.finditer(r"(?:\.venv/bin/)?python -m kits_tf\.(\w+[^`#]*)", line):
            command = re.sub(r"\|\w+", "", found[1].replace("[", "").replace("]", "")).strip()
            yield command[:-1] if command.count("'") == 1 else command  # the end of a line for another shell


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_is_one_that_its_command_takes(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for line in command_lines(page.read_text()):
        if "..." in line or "--plugins=" in line or line.startswith("COMMAND"):
            continue  # tests/test_extending.py runs those with plugins
        if "--" not in line and len(line.split()) == 1:
            assert line in all_commands(), f"{page.name}: {line}"  # it is named, not called
            continue
        name, *arguments = shlex.split(line)
        all_commands()[name].parse(arguments)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page takes for granted beside KiTS19's data and a scan, and files that its lines leave."""

    given: dict[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...]


def assert_masks_of_clients_agree(clone: Path) -> None:
    """Those of our client and of one without kits_tf."""
    served, alone = (np.asarray(nib.load(clone / name).dataobj) for name in ("masks/scan.nii.gz", "mask.nii.gz"))
    assert served.shape == alone.shape and ((served > 0) == (alone > 0)).mean() > 0.99


ORDERED = {
    "docs/tutorial.md": Page(
        leaves=(
            "lesson/audit/audit.html",
            "lesson/figures/case_00012.png",
            "lesson/run/curves.png",
            "lesson/run/evaluation/test/report.html",
            "lesson/measured/kidneys.csv",
            "lesson/served/case_00013.nii.gz",
        )
    ),
    "docs/clusters.md": Page(
        given={"DATA": "data", "scans.txt": "list_of_scans"},
        leaves=("masks/predictions.csv", "masks/other.nii.gz", "RECORDS/manifest.json"),
    ),
    "docs/conversion.md": Page(
        given={"DATA": "data", "SIMULATED_2MM": "data"},
        leaves=("audit/audit.html", "RECORDS/manifest.json", "PACKED", "NIFTI/case_00003/segmentation.nii.gz"),
    ),
    "docs/evaluation.md": Page(
        given={
            "runs/base": "run",
            "runs/other": "scored",
            "runs/folds": "folds",
            "masks": "masks",
            "true_masks": "true_masks",
        },
        leaves=(
            "runs/base/evaluation/test/cases.csv",
            "masks/evaluation/lesions.csv",
            "runs/folds/evaluation/validation/summary.json",
        ),
    ),
    "docs/extending.md": Page(
        given={"DATA": "data", "RECORDS": "records", "FOLDER": "layout", "MASKS": "masks", "SCAN": "case"},
        leaves=("RUN/history.csv", "MODEL/1", "FIGURES", "AUDIT/audit.json", "MASKS/evaluation/cases.csv"),
    ),
    "docs/geometry.md": Page(given={"DIR": "data"}, leaves=("OUT/manifest.json",)),
    "docs/index.md": Page(leaves=("masks/scan.nii.gz",)),
    "docs/inference.md": Page(
        given={"runs/base": "run", "runs/coarse": "run", "runs/fine": "run"},
        leaves=("predictions.zip", "models/kits/1"),
    ),
    "docs/measurements.md": Page(given={"masks": "masks"}, leaves=("measured/lesions.csv",)),
    "docs/network.md": Page(given={"records": "records"}, leaves=("runs/resenc/history.csv", "winner.png")),
    "docs/page.md": Page(given={"models/kits": "model"}, leaves=()),
    "docs/pipeline.md": Page(given={"DATA": "data"}, leaves=("figures", "PHANTOM/case_00000/imaging.nii.gz")),
    "docs/postprocessing.md": Page(given={"runs/base": "run_of_six"}, leaves=("runs/base/postprocess.json",)),
    "docs/report.md": Page(
        given={
            "DATA": "data",
            "runs/base": "scored",
            "runs/other": "scored",
            "masks": "masks",
            "other_masks": "masks",
            "MASKS": "masks",
            "mask.nii.gz": "scan_mask",
        },
        leaves=(
            "figures/scan.png",
            "figures/case_00000.png",
            "runs/base/evaluation/test/comparison.html",
            "masks/evaluation/comparison.html",
            "MASKS/evaluation/report.html",
        ),
    ),
    "docs/results.md": Page(given={"SIMULATED": "data", "splits.json": "splits"}, leaves=("RECORDS/manifest.json",)),
    "docs/serving.md": Page(
        given={"runs/base": "run"}, leaves=("models/kits/1", "masks/dicom_folder.nii.gz", "mask.json", "mask.nii.gz")
    ),
    "docs/simulation.md": Page(
        given={"LABEL_MAPS": "label_maps"},
        leaves=("PHANTOMS/case_00000/imaging.nii.gz", "SIMULATED/case_01000/segmentation.nii.gz"),
    ),
    "docs/starter.md": Page(given={"DATA": "data"}, leaves=("masks/scan.nii.gz", "runs/mine/history.csv")),
    "docs/training.md": Page(
        given={"SIMULATED": "data", "records_2mm": "records", "case_00088": "case"},
        leaves=("runs/base/curves.png", "runs/body/evaluation/validation/cases.csv", "masks/case_00088.nii.gz"),
    ),
}


def test_each_line_of_a_document_is_run_or_there_is_a_reason() -> None:
    pages = [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
    lines = {page: [step for step in steps((ROOT / page).read_text()) if not step.endswith("\n")] for page in pages}
    run = {page for page in pages if any(not reason_to_skip(line) for line in lines[page])}
    assert run == {"README.md", *ORDERED}
    every = [line for page in pages for line in lines[page]]
    assert len(every) > 120
    for beginning, _ in SKIPPED:
        assert any(line.startswith(beginning) for line in every), f"no document has a line that begins with {beginning}"
    ours = {line.split()[2] for line in every if reason_to_skip(line) and line.startswith("python -m ")}
    assert ours == {"kits_tf.demo", "kits_tf.convert"}  # the demo, and buckets


def make_scored(folder: Path, where: Callable[[str], Path]) -> None:
    """A run with scores of its test cases."""
    shutil.copytree(where("run"), folder)
    evaluate.main(evaluate.Evaluate(run_dir=str(folder), split="test"))


def make_masks(folder: Path, where: Callable[[str], Path]) -> None:
    """Masks of all cases, with scores."""
    predict.main(predict.Predict(model=str(where("run")), output_dir=str(folder)), [str(where("data"))])
    evaluate.main(evaluate.Evaluate(predictions_dir=str(folder), data_dir=str(where("data"))))


def make_true_masks(folder: Path, where: Callable[[str], Path]) -> None:
    """The true masks in one folder."""
    folder.mkdir()
    for case in where("data").glob("case_*"):
        shutil.copyfile(case / "segmentation.nii.gz", folder / f"{case.name}.nii.gz")


def make_folds(folder: Path, where: Callable[[str], Path]) -> None:
    """Runs of two folds."""
    records = folder.with_name("records_of_folds")
    convert.main(convert_settings(where("data"), records, splits=replace(TINY_SPLITS, num_folds=2)))
    train.main(replace(train_settings(records, folder), all_folds=True))


def make_run_of_six(folder: Path, where: Callable[[str], Path]) -> None:
    """A run with six validation cases."""
    data, records = (folder.with_name(f"{name}_of_six") for name in ("data", "records"))
    phantom.main(phantom.Phantom(output_dir=str(data), num_cases=8, phantom_spacing_zyx_mm=(12.0, 10.0, 10.0)))
    convert.main(convert_settings(data, records, splits=replace(TINY_SPLITS, validation_fraction=0.85)))
    train.main(train_settings(records, folder))


def make_layout(folder: Path, where: Callable[[str], Path]) -> None:
    """A folder in the layout of docs/extending.md."""
    folder.mkdir()
    shutil.copyfile(where("data") / "case_00000/imaging.nii.gz", folder / "patient0_ct.nii.gz")


def make_label_maps(folder: Path, where: Callable[[str], Path]) -> None:
    """A label map."""
    write_label_maps(folder)


def make_list_of_scans(file: Path, where: Callable[[str], Path]) -> None:
    """A list of the scans that every page has."""
    file.write_text("scan.nii.gz\nmore/other.nii.gz\n")


def make_splits(file: Path, where: Callable[[str], Path]) -> None:
    """Splits of the four cases."""
    parts = {"train": ["case_00000", "case_00001"], "validation": ["case_00002"], "test": ["case_00003"]}
    file.write_text(json.dumps(parts))


MAKERS = {
    "scored": make_scored,
    "masks": make_masks,
    "true_masks": make_true_masks,
    "folds": make_folds,
    "run_of_six": make_run_of_six,
    "layout": make_layout,
    "label_maps": make_label_maps,
    "list_of_scans": make_list_of_scans,
    "splits": make_splits,
}


@pytest.fixture(scope="session")
def made(request: pytest.FixtureRequest, made_once: Callable) -> Callable[[str], Path]:
    """Returns a function from what a page takes for granted to a folder or file, which is made once."""
    fixtures = {name: f"{name}_dir" for name in ("data", "records", "run", "model")}

    def where(name: str) -> Path:
        if name == "case":
            return where("data") / "case_00003"
        if name == "scan_mask":
            return where("data") / "case_00000/segmentation.nii.gz"
        if name in fixtures:
            return request.getfixturevalue(fixtures[name])
        return made_once(f"{name}_of_documents", lambda folder: MAKERS[name](folder, where))

    return where


def marked(name: str) -> pytest.MarkDecorator:
    """Returns the mark of a page: that of other clients is run by make test-slow, the others would take too long."""
    return pytest.mark.slow if name == "docs/serving.md" else pytest.mark.docs


@pytest.mark.parametrize("name", [pytest.param(name, marks=marked(name)) for name in ORDERED])
def test_the_lines_of_a_document_run_in_order(name: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    clone = tmp_path / "kits_tf"
    lay(clone, made, ORDERED[name].given)
    with reader(clone) as person:
        person.read((ROOT / name).read_text())
    missing = [path for path in ORDERED[name].leaves if not (clone / path).exists()]
    assert not missing
    if name == "docs/serving.md":
        assert_masks_of_clients_agree(clone)


def readme_parts() -> dict[str, str]:
    """Returns the parts of README by heading."""
    headed = re.split(r"^## (.*)\n", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    return dict(zip(headed[1::2], headed[2::2], strict=True))


@pytest.mark.parametrize(
    ("scheme", "scan"),
    [
        pytest.param("laterality", "scan.nii.gz", marks=pytest.mark.slow),
        pytest.param("kits19", "dicom_folder", marks=pytest.mark.docs),
    ],
)
def test_readme_in_order(scheme: str, scan: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    clone, parts = tmp_path / "kits_tf", readme_parts()
    lay(clone, made, {})
    in_scheme = [(f"kits_tf.{command}", f"--label_scheme={scheme}") for command in ("convert", "train")]
    with reader(clone, *in_scheme) as person:
        out = person.read(parts["Your scan"].replace("scan.nii.gz", scan))
        name = scan.removesuffix(".nii.gz")
        assert "starter network: for trying things out" in out
        assert (clone / f"masks/{name}.png").stat().st_size > 10_000 and (clone / f"masks/{name}.nii.gz").exists()
        person.leave()

        person.read(parts["Train on KiTS19"])
        assert json.loads((clone / "records/manifest.json").read_text())["grid"]["label_scheme"] == scheme
        assert (clone / "runs/base/evaluation/test/report.html").exists() and (clone / "models/kits/1").is_dir()
        mask = read_labels(clone / "masks/case_00210.nii.gz")
        assert mask.metadata.warnings == (OF_PHANTOMS,)

        person.read(parts["Serve"].replace("scan.nii.gz", scan))
        person.leave()
        masks = [read_labels(clone / f"{folder}/{name}.nii.gz").array for folder in ("masks", "served")]
        np.testing.assert_array_equal(*masks)  # both by the starter
        printed = person.read(parts["Use as a library"].replace("scan.nii.gz", scan)).splitlines()
        assert [line.split()[:2] for line in printed[:2]] == [["right", "kidney"], ["left", "kidney"]]


@pytest.mark.docs
def test_your_scan_is_a_file_a_folder_or_a_zip_file(made: Callable[[str], Path], tmp_path: Path) -> None:
    clone = tmp_path / "kits_tf"
    lay(clone, made, {"runs/base": "run"})
    part = readme_parts()["Your scan"]
    with reader(clone, ("kits_tf.predict", "--model=runs/base"), ("kits_tf.app", "--model=runs/base")) as person:
        for scan in ("scan.nii.gz", "dicom_folder", "zipped.zip"):
            person.read(part.replace("scan.nii.gz", scan))
            person.leave()
    by_kind = [read_labels(clone / f"masks/{name}.nii.gz") for name in ("scan", "dicom_folder", "zipped")]
    for mask in by_kind[1:]:
        np.testing.assert_array_equal(mask.array, by_kind[0].array)
    for name in ("scan", "dicom_folder", "zipped"):
        assert (clone / f"masks/{name}.png").stat().st_size > 10_000
