import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from kits_tf import config, demo
from kits_tf.base.errors import InputError
from kits_tf.ct.volume import read_labels

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_whole_line_learns_phantoms(data_dir: Path, tmp_path: Path, capsys) -> None:
    scan = data_dir / "case_00000" / "imaging.nii.gz"
    arguments = [f"--flagfile={ROOT}/configs/smoke.flags", f"--output_dir={tmp_path / 'demo'}", f"--scan={scan}"]
    settings, _ = demo.COMMAND.parse(arguments)
    demo.main(settings)
    written = tmp_path / "demo"
    summary = json.loads((written / "run" / "evaluation" / "test" / "summary.json").read_text())
    assert summary["num_cases"] == 3
    assert summary["kidney_dice"]["mean"] > 0.8
    assert sorted(p.name for p in (written / "figures").iterdir()) == [f"case_000{i}.png" for i in (11, 12, 13)]
    for name in ("case_00011", "case_00012", "case_00013"):  # the SavedModel and the run give the same mask
        by_model = read_labels(written / "masks" / f"{name}.nii.gz")
        by_run = read_labels(written / "run" / "evaluation" / "test" / "masks" / f"{name}.nii.gz")
        np.testing.assert_array_equal(by_model.array, by_run.array)
        assert by_model.metadata.scan == by_run.metadata.scan != "" and by_model.grid.same_as(by_run.grid)
    assert {"case_00000.nii.gz", "case_00000.png"} <= {path.name for path in (written / "real").iterdir()}
    assert read_labels(written / "real" / "case_00000.nii.gz").metadata.model.startswith("starter sha256:")
    assert "Done in" in capsys.readouterr().out


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="expected a new folder or an earlier demo, found other files"):
        demo.main(demo.Demo(output_dir=str(tmp_path), splits=config.SplitSettings(test_cases="3")))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_would_fail_late_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"--test_cases: expected some of the phantoms 0-13, got 180-209 .*smoke.flags"
    ):
        demo.main(demo.Demo(output_dir=str(tmp_path / "demo")))
    held_out = config.SplitSettings(test_cases="3")
    with pytest.raises(InputError, match=r"--scan=gone\.nii: expected a NIfTI file, found none"):
        demo.main(demo.Demo(output_dir=str(tmp_path / "demo"), splits=held_out, scan="gone.nii"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="expected matplotlib, ipyniivue to be installed: pip install"):
        demo.main(demo.Demo(output_dir=str(tmp_path / "demo"), splits=held_out))
    assert not (tmp_path / "demo").exists()


def test_an_earlier_demo_is_replaced_and_other_files_stay(tmp_path: Path, capsys) -> None:
    demo._empty(tmp_path / "demo")
    (tmp_path / "demo" / "notes.txt").touch()
    (tmp_path / "demo" / "run").mkdir()
    demo._empty(tmp_path / "demo")
    assert f"{tmp_path / 'demo'}: the earlier demo is replaced, other files stay" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == [demo.MARKER, "notes.txt"]
