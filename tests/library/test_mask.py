import csv
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import affine_of

import kits_tf
from kits_tf import evaluate
from kits_tf.base.errors import GridMismatchError
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.ct.volume import Volume, read_image, read_metadata, write_stored

WARNINGS = ("trained on phantoms", "not for measuring")
# (x, y, z) voxels of 2 mm, stored as R, A, S: the right kidney lies at high x.
SHAPE = (60, 40, 50)
RIGHT = np.s_[44:54, 10:30, 10:40]
LEFT = np.s_[6:16, 10:30, 10:40]
TUMOR = np.s_[48:52, 14:20, 12:20]
CYST = np.s_[8:12, 14:18, 20:24]


def scan(shape: tuple[int, int, int] = SHAPE) -> Volume:
    hu = np.full(shape, 40, np.int16)
    hu[:2] = hu[-2:] = -1000
    return Volume.from_stored(hu, affine_of("RAS", (2, 2, 2)))


def labels_of(scheme: kits_tf.Scheme) -> np.ndarray:
    """(z, y, x) labels of two kidneys, a tumor in the right one, and a cyst in the left one if the scheme has cysts."""
    stored = np.zeros(SHAPE, np.uint8)
    sides = ("right_kidney", "left_kidney") if scheme.has_sides else ("kidney", "kidney")
    stored[RIGHT], stored[LEFT] = (scheme.classes.index(side) for side in sides)
    stored[TUMOR] = scheme.classes.index("tumor")
    if "cyst" in scheme.classes:
        stored[CYST] = scheme.classes.index("cyst")
    return Volume.from_stored(stored, affine_of("RAS", (2, 2, 2))).array


def mask_of(scheme: kits_tf.Scheme) -> kits_tf.Mask:
    mask = kits_tf.Mask.from_labels(labels_of(scheme), scheme, scan())
    return replace(mask, model="kits sha256:0123", warnings=WARNINGS)


@pytest.mark.parametrize("cyst_as", ["kidney", "class"])
@pytest.mark.parametrize("name", ["kits19", "laterality"])
def test_a_mask_of_any_scheme_has_sides_and_volumes_and_comes_back_from_its_file(
    name: str, cyst_as: str, tmp_path: Path
) -> None:
    mask, sided = mask_of(kits_tf.find_scheme(name, cyst_as)), kits_tf.find_scheme("laterality", cyst_as)
    assert mask.scheme == sided
    np.testing.assert_array_equal(mask.labels, labels_of(sided))
    cyst_ml = {"cyst": 4 * 4 * 4 * 0.008} if cyst_as == "class" else {}
    kidney_ml, tumor_ml = 10 * 20 * 30 * 0.008, 4 * 6 * 8 * 0.008
    right_ml, left_ml = kidney_ml - tumor_ml, kidney_ml - sum(cyst_ml.values())
    expected = {"right_kidney": right_ml, "left_kidney": left_ml, "tumor": tumor_ml, **cyst_ml}
    assert mask.volumes_ml == pytest.approx(expected)

    mask.save(tmp_path / "masks/mask.nii.gz")
    saved = nib.load(tmp_path / "masks/mask.nii.gz")
    np.testing.assert_array_equal(saved.affine, affine_of("RAS", (2, 2, 2)))
    assert np.asarray(saved.dataobj)[50, 16, 16] == 3 and saved.shape == SHAPE
    read = kits_tf.read_mask(tmp_path / "masks/mask.nii.gz", scan())
    np.testing.assert_array_equal(read.labels, mask.labels)
    assert (read.scheme, read.model, read.warnings) == (sided, "kits sha256:0123", WARNINGS)


def test_measurements_are_rows_with_the_same_keys_and_know_the_warnings() -> None:
    mask = mask_of(kits_tf.find_scheme("kits19", "class"))
    measured = mask.measure()
    assert measured.warnings == WARNINGS and measured.labels == mask.scheme.classes
    rows = measured.rows()
    assert [(row["structure"], row["side"]) for row in rows] == [
        ("kidney", "right"), ("kidney", "left"), ("tumor", "right"), ("cyst", "left"),
    ]  # fmt: skip
    right, left, tumor, cyst = rows
    assert right["volume_ml"] == pytest.approx(mask.volumes_ml["right_kidney"])
    assert left["volume_ml"] == pytest.approx(mask.volumes_ml["left_kidney"])
    assert tumor["volume_ml"] == right["tumor_ml"] == pytest.approx(mask.volumes_ml["tumor"])
    assert cyst["volume_ml"] == pytest.approx(mask.volumes_ml["cyst"]) and cyst["mean_hu"] == 40
    assert right["diameter_mm"] is None and tumor["length_mm"] is None and right["flags"] == ""
    assert {tuple(row) for row in rows} == {tuple(right)} and "kind" not in right
    assert list(right)[:4] == ["structure", "side", "flags", "volume_ml"]
    nothing = kits_tf.Mask.from_labels(np.zeros_like(mask.labels), LATERALITY, scan()).measure()
    assert [row["flags"] for row in nothing.rows()] == ["absent", "absent"] and nothing.warnings == ()


@pytest.mark.parametrize("cyst_as", ["kidney", "background", "class"])
def test_the_truth_is_compared_in_the_scheme_of_the_mask(cyst_as: str) -> None:
    """The mask has no cyst; the truth's, of 64 voxels, is kidney, background or a cyst, as the mask's scheme says."""
    truth = mask_of(kits_tf.find_scheme("laterality", "class"))
    scheme = kits_tf.find_scheme("kits19", cyst_as)
    labels = labels_of(KITS19)
    scores = kits_tf.Mask.from_labels(labels, scheme, scan()).evaluate(truth)
    left, cyst = 10 * 20 * 30, 64
    missed = {"kidney": 0, "background": cyst, "class": cyst}[cyst_as]
    assert scores["dice_left_kidney"] == pytest.approx(2 * (left - missed) / (2 * left - missed))
    assert scores["dice_right_kidney"] == scores["tumor_dice"] == 1 and scores["side_confusion"] == 0
    assert scores.get("dice_cyst") == (0 if cyst_as == "class" else None)
    assert truth.evaluate(truth)["composite"] == truth.evaluate(truth)["dice_cyst"] == 1
    assert truth.evaluate(mask_of(KITS19))["dice_cyst"] == 0  # a truth without cysts


def test_scores_are_those_of_the_command(data_dir: Path, tmp_path: Path) -> None:
    """A phantom's mask, a voxel off."""
    case = data_dir / "case_00000"
    image = kits_tf.read_scan(case)
    truth = kits_tf.read_mask(case / "segmentation.nii.gz", image)
    moved = replace(truth, labels=np.roll(truth.labels, 1, axis=2))
    moved.save(tmp_path / "masks/case_00000.nii.gz")
    settings = evaluate.Evaluate(
        data_dir=str(data_dir), predictions_dir=str(tmp_path / "masks"), output_dir=str(tmp_path / "scores"), workers=1
    )
    evaluate.main(settings)
    with (tmp_path / "scores/cases.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["case_id"] == "case_00000")
    scores = moved.evaluate(truth)
    assert 0.5 < scores["kidney_dice"] < 1 and scores["dice_right_kidney"] < 1
    assert {key: float(row[key]) for key in scores} == pytest.approx(scores, nan_ok=True, rel=1e-6)


def test_a_figure_names_the_warnings_and_the_scores() -> None:
    mask = mask_of(LATERALITY)
    assert mask.figure(name="patient 7").get_suptitle() == (
        "patient 7   prediction\nWARNING: trained on phantoms\nWARNING: not for measuring"
    )
    figure = replace(mask, warnings=()).figure(truth=mask)
    assert figure.get_suptitle() == "scan   Dice: kidney 1.000, tumor 1.000"


def test_what_cannot_be_a_mask_is_refused(tmp_path: Path) -> None:
    image = scan()
    for labels, message in (
        (np.zeros((2, 3, 4), np.uint8), r"labels: expected uint8 of the scan's shape \(50, 40, 60\), got uint8 \(2, 3"),
        (np.zeros(image.array.shape, bool), "got bool"),
        (np.full(image.array.shape, 3, np.uint8), r"labels: expected labels 0..2, found \[3\]"),
    ):
        with pytest.raises(kits_tf.InputError, match=message):
            kits_tf.Mask.from_labels(labels, KITS19, image)
    mask = mask_of(KITS19)
    with pytest.raises(kits_tf.InputError, match=r"mask.png: expected a file named \*.nii.gz or \*.nii"):
        mask.save(tmp_path / "mask.png")
    shifted = kits_tf.Mask.from_labels(mask.labels, LATERALITY, Volume.from_stored(image.as_stored(), np.eye(4)))
    for use in (mask.evaluate, mask.figure):
        with pytest.raises(GridMismatchError, match=r"truth: expected the mask's (grid|place)"):
            use(shifted)


def test_only_a_mask_of_this_scan_is_read(tmp_path: Path) -> None:
    image, path = scan(), tmp_path / "mask.nii.gz"

    def refused(message: str, **masks: str) -> None:
        with pytest.raises(kits_tf.InputError, match=message):
            kits_tf.read_mask(path, image, **masks)

    refused("mask.nii.gz: expected a NIfTI file, found none")
    stored = replace(image, array=labels_of(kits_tf.find_scheme("kits19", "class"))).as_stored()
    write_stored(path, stored, image.stored.affine)
    refused("mask.nii.gz: expected labels 0..2, background, kidney, tumor, as the mask names none, found 0, 1, 2, 3")
    refused("expected settings of label_scheme, cyst_as, got cysts", cysts="class")
    with_cysts = kits_tf.read_mask(path, image, cyst_as="class")
    np.testing.assert_array_equal(with_cysts.labels, labels_of(kits_tf.find_scheme("laterality", "class")))
    write_stored(path, stored[1:], image.stored.affine)
    refused(r"mask.nii.gz: expected the scan's grid of 50 x 40 x 60 voxels, got 50 x 40 x 59", cyst_as="class")
    mask_of(LATERALITY).save(path)
    refused("--label_scheme=kits19: expected masks that do not name their labels", label_scheme="kits19")
    metadata = replace(read_metadata(path), scan="0" * 64)
    write_stored(path, stored, image.stored.affine, metadata=metadata)
    refused("mask.nii.gz: expected the mask of this scan, found that it was made from another scan")


def test_objects_print_in_a_line(data_dir: Path) -> None:
    """Also those of a large scan with a long name and long warnings."""
    array = np.broadcast_to(np.int16(0), (1024, 512, 512))
    large = Volume.from_stored(array, affine_of("IPL", (0.78125, 0.78125, 0.5)))
    labels, scheme = np.broadcast_to(np.uint8(0), array.shape), kits_tf.find_scheme("laterality", "class")
    warned = ("a warning of several words " * 30, "another")
    mask = kits_tf.Mask(labels=labels, scheme=scheme, scan=large, model="name" * 100, warnings=warned)
    lesions = kits_tf.LesionMeasures(kind="tumor", side="right", deepest_zyx=(1, 2, 3), volume_ml=1.25)
    measured = replace(mask_of(scheme).measure(), warnings=warned, lesions=(lesions,) * 50)
    for thing in (large, large.grid, mask, measured, scheme, kits_tf.find_scheme("kits19")):
        text = repr(thing)
        assert len(text) < 300 and "\n" not in text and str(thing) == text
    small = read_image(data_dir / "case_00000/imaging.nii.gz")
    assert repr(small) == "Volume(26 x 60 x 60 voxels of 8 x 6 x 6 mm, int16)"
    assert repr(small.grid) == "Grid(26 x 60 x 60 voxels of 8 x 6 x 6 mm, axes IPL)"
    assert repr(mask_of(LATERALITY)) == (
        "Mask(50 x 40 x 60 voxels of 2 x 2 x 2 mm: right_kidney 46.5 mL, left_kidney 48.0 mL, tumor 1.5 mL; "
        "WARNING: trained on phantoms; not for measuring)"
    )
    assert repr(mask_of(LATERALITY).measure()) == (
        "Measurements(right kidney 46.5 mL, left kidney 48.0 mL, right tumor 1.5 mL; "
        "WARNING: trained on phantoms; not for measuring)"
    )
    assert "right tumor 1.2 mL, right tumor 1.2 mL and 48 more; WARNING: a warning of" in repr(measured)
