"""audit, on phantoms with every kind of damage."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import convert_settings

from kits_tf import config, convert
from kits_tf.base.errors import InputError
from kits_tf.ct.layouts import write_data_note
from kits_tf.views.pages.audit_page import audit_page


def change(path: Path, function) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(function(np.asarray(image.dataobj)), image.affine), path)


@pytest.fixture(scope="module")
def damaged(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("damaged")
    for number in range(6):
        shutil.copytree(data_dir / f"case_{number % 4:05d}", data / f"case_{number:05d}")
    change(data / "case_00001/imaging.nii.gz", lambda hu: np.maximum(hu + 1024, 0).astype(np.uint16))
    change(data / "case_00002/segmentation.nii.gz", lambda mask: mask[:-1])
    change(data / "case_00003/segmentation.nii.gz", lambda mask: np.roll(mask, -int(mask.any((1, 2)).argmax()), 0))
    change(data / "case_00004/segmentation.nii.gz", lambda mask: np.zeros_like(mask))
    content = bytearray(gzip.decompress((data / "case_00005/imaging.nii.gz").read_bytes()))
    (data / "case_00005/imaging.nii.gz").write_bytes(gzip.compress(content)[:-50])
    return data


# Runs audit, and at its end prints whether this process, which only hands out cases, has imported TensorFlow.
AUDIT = """
import atexit, sys
from kits_tf import audit
atexit.register(lambda: print("tensorflow:", "tensorflow" in sys.modules))
audit.COMMAND.run(sys.argv[1:])
"""


def test_damage_is_found_named_and_shown(damaged: Path, tmp_path: Path) -> None:
    flags = [f"--data_dir={damaged}", f"--output_dir={tmp_path / 'out'}", "--workers=1"]
    done = subprocess.run([sys.executable, "-c", AUDIT, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    grids = "expected the scan's grid of 25 x 60 x 60 voxels, got 24 x 60 x 60"
    assert re.search(rf"damaged\d+: 3 errors, the first: .*case_00002/segmentation.nii.gz: {grids}", done.stderr)
    found = json.loads((tmp_path / "out/audit.json").read_text())
    assert [(f["severity"], f["code"], f["case_id"]) for f in found["findings"] if f["severity"] != "note"] == [
        ("error", "grid_mismatch", "case_00002"),
        ("error", "not_hounsfield", "case_00001"),
        ("error", "unreadable", "case_00005"),
        ("warning", "cut_off", "case_00003"),
        ("warning", "duplicate", "case_00004"),
        ("warning", "no_kidney", "case_00004"),
    ]
    assert sorted(found["cases"]) == ["case_00000", "case_00001", "case_00003", "case_00004"]
    assert found["cases"]["case_00001"]["dtype"] == "uint16" and found["cases"]["case_00000"]["labels"]["parts"] == 2
    page = (tmp_path / "out/audit.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4 and page.count('<tr class="') == 6
    assert "http:" not in page and "https:" not in page and "was an offset of 1024 or 1000 lost" in page
    assert "warning cut_off: case_00003: labels reach the superior end" in done.stdout
    assert "error unreadable: case_00005:" in done.stdout and "case 6/6" in done.stderr
    assert done.stdout.endswith("tensorflow: False\n")


def test_convert_stops_at_errors_and_goes_on_with_warnings(damaged: Path, tmp_path: Path, capsys, caplog) -> None:
    with pytest.raises(InputError, match="3 of 6 cases failed, the first: .*; run convert again"):
        convert.main(convert_settings(damaged, tmp_path))
    shards = sorted(path.name for path in tmp_path.glob("*.tfrecord"))
    assert shards == [f"case_{number:05d}.tfrecord" for number in (0, 3, 4)]
    assert "failed: " in caplog.text and "was an offset of 1024 or 1000 lost" in caplog.text
    convert.main(convert_settings(damaged, tmp_path / "rest", splits=config.SplitSettings(exclude_cases="1,2,5")))
    said = capsys.readouterr().out
    assert "warning duplicate: case_00004: the same scan as case_00000" in said
    assert "warning cut_off: case_00003" in said


def test_the_page_has_the_datas_own_note(tmp_path: Path) -> None:
    assert '<p class="banner">' not in audit_page(str(tmp_path), {}, [], {})
    write_data_note(tmp_path, "phantoms: <not> for real scans")
    assert '<p class="banner"><b>phantoms: &lt;not&gt; for real scans</b></p>' in audit_page(str(tmp_path), {}, [], {})
