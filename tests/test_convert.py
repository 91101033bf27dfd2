"""convert, from every layout."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import convert_settings

from kits_tf import config, convert, evaluate
from kits_tf.base.errors import InputError
from kits_tf.pipeline.manifest import Manifest


def convert_to(records: Path, data: Path, **changes: object) -> Manifest:
    convert.main(convert_settings(data, records, **changes))
    return Manifest.read(records)


def as_nnunet(data_dir: Path, root: Path, channel: str) -> Path:
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    for case in data_dir.glob("case_*"):
        shutil.copyfile(case / "imaging.nii.gz", root / "imagesTr" / f"{case.name}{channel}.nii.gz")
        shutil.copyfile(case / "segmentation.nii.gz", root / "labelsTr" / f"{case.name}.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "kidney": 1, "tumor": 2}}))
    return root


def as_table(data_dir: Path, root: Path) -> Path:
    root.mkdir()
    rows = [f"{case}/imaging.nii.gz,{case}/segmentation.nii.gz" for case in data_dir.glob("case_*")]
    (root / "cases.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    return root / "cases.csv"


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "table"])
def test_every_layout_gives_the_same_records(data_dir: Path, records_dir: Path, tmp_path: Path, layout: str) -> None:
    make = {
        "nnunet": lambda root: as_nnunet(data_dir, root, "_0000"),
        "decathlon": lambda root: as_nnunet(data_dir, root, ""),
        "table": lambda root: as_table(data_dir, root),
    }
    data = make[layout](tmp_path / "data")
    manifest = convert_to(tmp_path / "records", data)
    assert manifest.cases == Manifest.read(records_dir).cases
    assert manifest.splits == Manifest.read(records_dir).splits
    assert manifest.data_dir == str(data)
    for shard in records_dir.glob("*.tfrecord"):
        assert (tmp_path / "records" / shard.name).read_bytes() == shard.read_bytes()


def test_a_case_without_a_mask_is_converted_and_never_scored(data_dir: Path, tmp_path: Path, capsys, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    data = shutil.copytree(data_dir, tmp_path / "data")
    (data / "case_00002").rename(data / "case_00210")
    (data / "case_00210" / "segmentation.nii.gz").unlink()
    manifest = convert_to(tmp_path / "records", data)
    assert manifest.splits["unlabeled"] == ["case_00210"]
    assert manifest.cases["case_00210"].class_voxels == () and manifest.cases["case_00210"].sides is None
    manifest.check_shards(tmp_path / "records")
    assert "; no mask" in caplog.text and re.search(r"^unlabeled +1 ", capsys.readouterr().out, re.MULTILINE)
    masks = tmp_path / "masks"
    masks.mkdir()
    shutil.copyfile(data_dir / "case_00002" / "segmentation.nii.gz", masks / "case_00210.nii.gz")
    with pytest.raises(InputError, match=r"imaging.nii.gz: expected a true mask to compare with, case_00210 has none"):
        evaluate.main(evaluate.Evaluate(predictions_dir=str(masks), data_dir=str(data)))


def test_the_side_decision_of_every_case_is_logged_and_recorded(data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    manifest = convert_to(tmp_path, data_dir)
    lines = caplog.text.replace("0.1 MB", "0.0 MB")
    for case_id, entry in manifest.cases.items():
        assert entry.sides is not None
        assert f"{case_id}: 0.0 MB, {entry} (" in lines and str(entry.sides) in str(entry)


def test_scores_refuse_another_scheme_than_the_runs(run_dir: Path) -> None:
    with pytest.raises(InputError, match="--cyst_as: expected kidney as in .*, got class"):
        evaluate.main(evaluate.Evaluate(run_dir=str(run_dir), masks=config.MaskSchemeSettings(cyst_as="class")))
