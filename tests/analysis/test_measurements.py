import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import affine_of

from kits_tf import measure
from kits_tf.analysis.measurements import ABSENT, FUSED
from kits_tf.analysis.morphometry import measure as measure_mask
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY, find_scheme
from kits_tf.ct.mask_doubts import CUT_OFF
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import read_image, read_labels, write_stored

ROOT = Path(__file__).parents[2]
SPACING = (2.0, 1.0, 1.0)
PLACES = np.moveaxis(np.indices((80, 120, 240)), 0, -1) * SPACING
RIGHT, LEFT, TUMOR, CYST = 1, 2, 3, 4


def ball(labels: np.ndarray, center_mm: tuple[float, float, float], radius_mm: float, label: int) -> None:
    labels[np.linalg.norm(PLACES - center_mm, axis=-1) < radius_mm] = label


def two_kidneys() -> np.ndarray:
    """Balls of 25 mm, the left one with a tumor of 10 mm at its rim and a cyst of 5 mm in its middle."""
    labels = np.zeros(PLACES.shape[:3], np.uint8)
    ball(labels, (80, 60, 60), 25, RIGHT)
    ball(labels, (80, 60, 170), 25, LEFT)
    ball(labels, (80, 60, 195), 10, TUMOR)
    ball(labels, (80, 60, 170), 5, CYST)
    return labels


def test_two_kidneys_by_formula() -> None:
    labels = two_kidneys()
    hu = np.where(labels == TUMOR, 90, 150).astype(np.int16)
    found = measure_mask(labels, find_scheme("laterality", "class"), SPACING, hu)
    right, left = found.kidneys
    ball_ml = 4 / 3 * np.pi * 25**3 / 1000
    assert right.volume_ml == pytest.approx(ball_ml, rel=0.01) and right.flags == ()
    assert (right.length_mm, right.width_mm, right.thickness_mm) == pytest.approx((50, 50, 50), rel=0.02)
    assert right.surface_cm2 == pytest.approx(4 * np.pi * 25**2 / 100, rel=0.02)
    assert right.sphericity == pytest.approx(1, abs=0.02) and right.mean_hu == 150
    assert (right.tumor_ml, right.tumor_burden) == (0, 0)
    tumor, cyst = found.lesions
    assert (tumor.kind, tumor.side, cyst.kind, cyst.side) == ("tumor", "left", "cyst", "left")
    assert tumor.volume_ml == pytest.approx(4 / 3 * np.pi, rel=0.04) and left.tumor_ml == tumor.volume_ml
    assert tumor.diameter_mm == pytest.approx(20, abs=1) == tumor.axial_diameter_mm  # a voxel
    assert (tumor.mean_hu, tumor.std_hu, cyst.mean_hu) == (90, 0, 150)
    assert left.tumor_burden == pytest.approx(left.tumor_ml / (left.tumor_ml + left.volume_ml))
    # The kidney's convex hull ends at the circle where the balls meet, 23 mm from its center: beyond lies 0.648.
    assert tumor.exophytic_share == pytest.approx(0.648, abs=0.04) and tumor.depth_mm == 0
    assert cyst.exophytic_share == 0 and cyst.depth_mm == pytest.approx(20, abs=1)
    assert found.asymmetry == pytest.approx((right.volume_ml - left.volume_ml) / (right.volume_ml + left.volume_ml) * 2)


def test_flags_instead_of_wrong_numbers() -> None:
    labels = two_kidneys()[38:]  # the scan begins in the kidneys' middle, the tumor with them
    found = measure_mask(labels, find_scheme("laterality", "class"), SPACING)
    assert all(kidney.flags == (CUT_OFF,) and kidney.volume_ml is None for kidney in found.kidneys)
    assert all(lesion.flags == (CUT_OFF,) and lesion.volume_ml is None for lesion in found.lesions)
    assert found.asymmetry is None
    labels = two_kidneys()
    labels[labels == RIGHT] = 0
    right, left = measure_mask(labels, find_scheme("laterality", "class"), SPACING).kidneys
    assert right.flags == (ABSENT,) and right.volume_ml is None and left.flags == () and left.mean_hu is None
    labels = two_kidneys()
    labels[38:43, 55:65, 60:170][labels[38:43, 55:65, 60:170] == 0] = RIGHT  # a bridge
    found = measure_mask(labels, find_scheme("laterality", "class"), SPACING)
    assert all(kidney.flags == (FUSED,) for kidney in found.kidneys) and found.lesions[0].volume_ml > 4


def test_specks_change_no_length_and_small_lesions_are_none() -> None:
    labels = two_kidneys()
    labels[5, 5, 5] = RIGHT
    labels[10, 10, 30:38] = TUMOR
    found = measure_mask(labels, find_scheme("laterality", "class"), SPACING)
    assert found.kidneys[0].length_mm == pytest.approx(50, rel=0.02) and len(found.lesions) == 2
    nothing = measure_mask(np.zeros((3, 4, 5), np.uint8), LATERALITY, SPACING)
    assert [kidney.flags for kidney in nothing.kidneys] == [(ABSENT,)] * 2 and nothing.lesions == ()


def pairs_text(right_ml: float, left_ml: float) -> str:
    return f"{right_ml + left_ml:.1f} {200 * (right_ml - left_ml) / (right_ml + left_ml):+.0f} %"


def test_the_command(data_dir: Path, tmp_path: Path, capsys) -> None:
    """Masks of the challenge's labels: sides come from geometry; with the scan, HU too."""
    settings = measure.Measure(image=str(data_dir), output_dir=str(tmp_path / "out"))
    measure.main(settings, [str(data_dir / "case_0000[01]")])
    said = capsys.readouterr().out
    assert "case_00000 right" in said and "case_00001 1 tumor" in said
    with open(tmp_path / "out" / "kidneys.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["side"]) for row in rows] == [
        (f"case_0000{i}", side) for i in (0, 1) for side in ("right", "left")
    ]
    facts = json.loads((tmp_path / "out" / "measurements.json").read_text())
    kidneys = facts["case_00000"]["kidneys"]
    for row, kidney in zip(rows[:2], kidneys, strict=True):  # the table is rounded
        assert (row["volume_ml"], row["mean_hu"]) == (f"{kidney['volume_ml']:.2f}", f"{kidney['mean_hu']:.1f}")
    image = nib.load(data_dir / "case_00000" / "segmentation.nii.gz")
    kidney_ml = (np.asarray(image.dataobj) == 1).sum() * np.prod(image.header.get_zooms()) / 1000
    assert sum(kidney["volume_ml"] for kidney in kidneys) == pytest.approx(kidney_ml)
    hu = nib.load(data_dir / "case_00000" / "imaging.nii.gz").get_fdata()
    mean = hu[np.asarray(image.dataobj) == 1].mean()
    weights = [kidney["volume_ml"] for kidney in kidneys]
    assert np.average([kidney["mean_hu"] for kidney in kidneys], weights=weights) == pytest.approx(mean, abs=0.1)
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        pairs = list(csv.DictReader(file))
    right, left = weights
    assert float(pairs[0]["asymmetry"]) == pytest.approx(2 * (right - left) / (right + left), abs=0.0005)
    assert f"case_00000 {pairs_text(right, left)}" in " ".join(said.split())
    measure.main(measure.Measure(), [str(data_dir / "case_00000" / "segmentation.nii.gz")])
    assert "HU\ncase" in capsys.readouterr().out.replace(" ", "").replace("-", "")  # none is known


def test_what_cannot_be_measured_is_named(data_dir: Path, tmp_path: Path) -> None:
    def refused(message: str, inputs: list[str], **flags: str) -> None:
        with pytest.raises(InputError, match=message):
            measure.main(measure.Measure(**flags), inputs)

    mask = str(data_dir / "case_00000" / "segmentation.nii.gz")
    refused(
        "gone.nii: expected a mask or a folder of masks, found no such file or folder", [str(tmp_path / "gone.nii")]
    )
    refused("expected a mask, or a folder of masks, found none", [str(tmp_path)])
    other = str(data_dir / "case_00001")
    (tmp_path / "scan").mkdir()
    write_stored(tmp_path / "scan" / "b.nii.gz", np.zeros((3, 3, 3), np.int16), affine_of("IPL"))
    refused("segmentation.nii.gz: expected the scan's grid", [mask], image=f"{tmp_path}/scan")
    image = nib.load(mask)
    moved = image.affine + np.array([[0, 0, 0, 5.0], *[[0] * 4] * 3])  # by 5 mm
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), tmp_path / "moved.nii.gz")
    scan = str(data_dir / "case_00000")
    refused("moved.nii.gz: expected the scan's place and axes .*, got ", [str(tmp_path / "moved.nii.gz")], image=scan)
    refused("expected a scan named case_00000, found none", [mask, other], image=other)
    refused("imaging.nii.gz: expected labels .* found -[0-9]+: a scan rather than a mask", [f"{scan}/imaging.nii.gz"])
    write_stored(tmp_path / "a.nii.gz", np.full((3, 3, 3), 9, np.uint8), affine_of("IPL"))
    path = str(tmp_path / "a.nii.gz")
    refused("a.nii.gz: expected labels 0..2, background, kidney, tumor, as the mask names none, found 9", [path])


def test_one_scan_of_several_masks(data_dir: Path, tmp_path: Path, capsys) -> None:
    """It is that of all masks if none has its name, as those of two readers, and otherwise of the one with its name."""
    source, scan = data_dir / "case_00000" / "segmentation.nii.gz", str(data_dir / "case_00000")
    for reader in ("one", "two"):
        shutil.copy(source, tmp_path / f"{reader}.nii.gz")
    measure.main(measure.Measure(image=scan), [str(tmp_path)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    one, two = ([line[1:] for line in lines if line and line[0] == reader] for reader in ("one", "two"))
    assert one == two and [row[0] for row in one[:2]] == ["right", "left"]
    (tmp_path / "two.nii.gz").rename(tmp_path / "case_00000.nii.gz")
    missing = f"1 of 2 masks failed, the first: .*one.nii.gz: {scan}: expected a scan named one"
    with pytest.raises(InputError, match=missing):
        measure.main(measure.Measure(image=scan), [str(tmp_path)])
    assert "case_00000 right" in capsys.readouterr().out


def test_a_mask_of_another_scan_is_not_measured_on_it(data_dir: Path, tmp_path: Path) -> None:
    image = read_image(data_dir / "case_00000" / "imaging.nii.gz")
    labels = read_labels(data_dir / "case_00000" / "segmentation.nii.gz").as_stored()
    metadata = MaskMetadata(classes=("background", "kidney", "tumor"), scan=image.digest())
    write_stored(tmp_path / "mask.nii.gz", labels, image.stored.affine, metadata=metadata)
    measure.main(measure.Measure(image=str(data_dir / "case_00000")), [str(tmp_path / "mask.nii.gz")])
    write_stored(tmp_path / "other.nii.gz", image.as_stored() + np.int16(1), image.stored.affine)
    other = "expected the mask of .*other.nii.gz, found that it was made from another scan"
    with pytest.raises(InputError, match=other):
        measure.main(measure.Measure(image=str(tmp_path / "other.nii.gz")), [str(tmp_path / "mask.nii.gz")])


def test_it_starts_without_tensorflow(tmp_path: Path) -> None:
    write_stored(tmp_path / "a.nii.gz", two_kidneys() % 3, np.diag([1, 1, 2, 1]))
    code = "import sys; from kits_tf import config, measure; measure.main(measure.Measure(), sys.argv[1:]);"
    code += "assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, cwd=ROOT)
