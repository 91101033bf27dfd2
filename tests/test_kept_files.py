"""Files that kits_tf did not write: no command overwrites them, and it says so before the work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kits_tf import audit, evaluate, figures, measure, phantom, report, submission, summary
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.layouts import data_note, find_cases, write_data_note
from kits_tf.ct.volume import read_image, read_labels, write_labels

MINE = b"<html>mine</html>"


@pytest.fixture(scope="module")
def masks_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true mask of a case as the mask of a program, scored."""
    folder = tmp_path_factory.mktemp("kept") / "masks"
    files = find_cases(str(data_dir))[0]
    assert files.labels
    labels = np.minimum(read_labels(files.labels).array, 1).astype(np.uint8)
    image = read_image(files.image)
    write_labels(folder / f"{files.case_id}.nii.gz", labels, like=image, classes=LATERALITY.classes)
    evaluate.main(evaluate.Evaluate(predictions_dir=str(folder), data_dir=str(data_dir), workers=1))
    return folder


def run_audit(data_dir: Path, masks_dir: Path, output: Path) -> None:
    audit.main(audit.Audit(data_dir=str(data_dir), output_dir=str(output.parent), workers=1))


def run_measure(data_dir: Path, masks_dir: Path, output: Path) -> None:
    measure.main(measure.Measure(output_dir=str(output.parent)), [str(masks_dir)])


def run_submission(data_dir: Path, masks_dir: Path, output: Path) -> None:
    submission.main(submission.Submission(predictions_dir=str(masks_dir), output=str(output)))


def run_evaluate(data_dir: Path, masks_dir: Path, output: Path) -> None:
    settings = {"predictions_dir": str(masks_dir), "data_dir": str(data_dir), "output_dir": str(output.parent)}
    evaluate.main(evaluate.Evaluate(**settings, workers=1))


def run_report(data_dir: Path, masks_dir: Path, output: Path) -> None:
    settings = {"predictions_dir": str(masks_dir), "data_dir": str(data_dir), "output": str(output)}
    report.main(report.Report(**settings, viewer=False, workers=1))


def run_figures(data_dir: Path, masks_dir: Path, output: Path) -> None:
    settings = {"predictions_dir": str(masks_dir), "data_dir": str(data_dir), "output_dir": str(output.parent)}
    figures.main(figures.Figures(**settings, gif=output.suffix == ".gif", workers=1), [])


def run_summary(data_dir: Path, masks_dir: Path, output: Path) -> None:
    summary.main(summary.Summary(graph_png=str(output), patch_size_zyx=(16, 16, 16)))


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (run_audit, "audit.html"),
        (run_audit, "audit.json"),
        (run_evaluate, "cases.csv"),
        (run_evaluate, "lesions.csv"),
        (run_evaluate, "summary.json"),
        (run_measure, "kidneys.csv"),
        (run_measure, "measurements.json"),
        (run_submission, "predictions.zip"),
        (run_report, "index.html"),
        (run_figures, "case_00000.png"),
        (run_figures, "case_00000.gif"),
    ],
)
def test_a_file_of_the_users_is_kept_and_one_of_ours_is_replaced(
    run: Callable, name: str, data_dir: Path, masks_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / name
    output.write_bytes(MINE)
    with pytest.raises(InputError, match=f"{output}: expected no file or one that kits_tf made, found another"):
        run(data_dir, masks_dir, output)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: MINE}
    output.unlink()
    run(data_dir, masks_dir, output)
    first = output.stat().st_ino, output.stat().st_mtime_ns
    run(data_dir, masks_dir, output)
    assert (output.stat().st_ino, output.stat().st_mtime_ns) != first


def test_a_picture_of_the_users_is_kept_by_summary(data_dir: Path, masks_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "network.png"
    output.write_bytes(MINE)
    with pytest.raises(InputError, match=f"{output}: expected no file or one that kits_tf made, found another"):
        run_summary(data_dir, masks_dir, output)
    assert output.read_bytes() == MINE


def test_phantoms_do_not_call_other_scans_phantoms(tmp_path: Path) -> None:
    patient = tmp_path / "case_00150" / "imaging.nii.gz"
    patient.parent.mkdir()
    patient.write_bytes(b"a patient's scan")
    settings = phantom.Phantom(output_dir=str(tmp_path), num_cases=1, phantom_spacing_zyx_mm=(12.0, 9.0, 9.0))
    with pytest.raises(InputError, match=f"{tmp_path}: expected a new folder, or one with the note 'phantoms: not for"):
        phantom.main(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["case_00150"]


def test_a_note_is_written_into_a_new_folder_or_one_with_the_same_note(tmp_path: Path) -> None:
    write_data_note(tmp_path / "new", "simulated")
    (tmp_path / "new" / "case_00000").mkdir()
    write_data_note(tmp_path / "new", "simulated")
    with pytest.raises(InputError, match="expected a new folder, or one with the note 'phantoms', found other files"):
        write_data_note(tmp_path / "new", "phantoms")
    assert data_note(str(tmp_path / "new")) == "simulated"
    write_data_note(tmp_path / "new", "phantoms", overwrite=True)
    assert data_note(str(tmp_path / "new")) == "phantoms"
