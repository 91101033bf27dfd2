"""What the labels of masks mean, and which files of a folder are masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf.analysis.mask_files import check_flags, label_note, mask_paths, open_mask, open_masks
from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.labels import KITS19, LATERALITY, find_scheme
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import Volume, write_stored

UNNAMED, SIDES = MaskSchemeSettings(), MaskSchemeSettings(label_scheme="laterality")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def write(path: Path, values: list[int], classes: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> Path:
    labels = np.zeros((3, 4, 5), np.uint8)
    labels.flat[: len(values)] = values
    write_stored(path, labels, AFFINE, metadata=MaskMetadata(classes=classes, warnings=warnings))
    return path


def values_of(path: Path, settings: MaskSchemeSettings) -> list[int]:
    return np.unique(open_mask(path, settings).read().array).tolist()


def test_a_mask_without_names_has_the_challenges_labels_unless_flags_say_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", [0, 1, 2])
    assert open_mask(path, UNNAMED).scheme == KITS19 and values_of(path, UNNAMED) == [0, 1, 2]
    assert open_mask(path, SIDES).scheme == LATERALITY


@pytest.mark.parametrize("settings", [UNNAMED, SIDES, MaskSchemeSettings(label_scheme="kits19", cyst_as="class")])
def test_a_mask_with_names_has_its_own_scheme_whatever_flags_say(tmp_path: Path, settings: MaskSchemeSettings) -> None:
    for name, classes, scheme in (
        ("sides", LATERALITY.classes, LATERALITY),
        ("challenge", KITS19.classes, KITS19),
        ("capitals", ("Background", "Right Kidney", "left kidney", "TUMOR"), LATERALITY),
        ("cysts", ("background", "kidney", "tumor", "cyst"), find_scheme("kits19", "class")),
    ):
        mask = open_mask(write(tmp_path / f"{name}.nii", [0, 1, 2], classes), settings)
        assert mask.scheme == scheme and mask.is_named


def test_labels_that_a_scheme_does_not_have_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", [0, 1, 3])
    with pytest.raises(
        InputError, match=r"a\.nii: expected labels 0\.\.2.*0, 1, 3; --cyst_as=kidney, background or class"
    ):
        values_of(path, UNNAMED)
    with pytest.raises(InputError, match=r"expected labels 0\.\.2, .* as the mask names them, found 0, 3$"):
        values_of(write(tmp_path / "b.nii", [0, 3], KITS19.classes), SIDES)
    with pytest.raises(InputError, match=r"found 0, 9: the mask has one structure .*: write 1 \(right kidney\), 2 "):
        values_of(write(tmp_path / "c.nii", [0, 9]), SIDES)
    with pytest.raises(InputError, match=r"d\.nii: expected labels of a scheme of kits_tf, found background, liver"):
        open_mask(write(tmp_path / "d.nii", [0, 1], ("background", "liver")), UNNAMED)


@pytest.mark.parametrize(("cyst_as", "expected"), [("kidney", [0, 1]), ("background", [0]), ("class", [0, 3])])
def test_cysts_become_what_the_flag_says(tmp_path: Path, cyst_as: str, expected: list[int]) -> None:
    path = write(tmp_path / "a.nii", [0, 3])
    assert values_of(path, MaskSchemeSettings(cyst_as=cyst_as)) == expected
    mask = open_mask(path, MaskSchemeSettings(cyst_as=cyst_as))
    assert mask.scheme == find_scheme("kits19", cyst_as)


def test_files_that_systems_and_programs_leave_are_no_masks(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.nii", "b_probabilities.nii.gz", "b_uncertainty.nii.gz", "c_uncertainty.nii.gz"):
        write(tmp_path / name, [1])
    for name in ("._b.nii.gz", ".partial-1-2-b.nii.gz", ".DS_Store", "Thumbs.db", "notes.txt", "cases.csv"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "folder.nii").mkdir()
    # Nothing says that c_uncertainty is a map of ours: there is no mask c.
    assert list(mask_paths(tmp_path)) == ["a", "b", "c_uncertainty"]
    write(tmp_path / "a.nii.gz", [1])
    with pytest.raises(InputError, match=r"a\.nii\.gz: expected one mask named a, found a\.nii too"):
        mask_paths(tmp_path)
    with pytest.raises(InputError, match="gone: expected a folder of masks, found no such folder"):
        mask_paths(tmp_path / "gone")


def test_warnings_of_masks_stand_beside_their_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", [0, 1], KITS19.classes, ("not for measuring",))
    write(tmp_path / "b.nii", [0, 1], KITS19.classes, ("not for measuring", "no CT"))
    write(tmp_path / "c.nii", [0, 1], KITS19.classes)
    assert label_note(open_masks(tmp_path, UNNAMED).masks.values()) == (
        "labels: kidney, tumor in 3 masks, named in the files; "
        "WARNING in 1 mask: no CT; WARNING in 2 masks: not for measuring"
    )
    assert label_note([]) == ""


def test_folders_that_hold_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected masks case_00000.nii.gz, ..., found none in it$"):
        open_masks(tmp_path, UNNAMED)
    for folder in ("first", "second/evaluation", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "a.nii", [0, 1])
    places = f"{tmp_path}/first, {tmp_path}/second/evaluation"
    with pytest.raises(InputError, match=f"found none in it; there are such files in {places}$"):
        open_masks(tmp_path, UNNAMED)


def test_a_folder_of_several_schemes_is_read_in_the_challenges(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", [0, 1, 2, 3], LATERALITY.classes)
    masks = open_masks(tmp_path, UNNAMED)
    image = Volume.from_stored(np.zeros((3, 4, 5), np.int16), AFFINE)
    assert masks.scheme == LATERALITY and np.unique(masks.read_on_grid_of(image, "a")).tolist() == [0, 1, 2, 3]
    write(tmp_path / "b.nii", [0, 1, 2])
    masks = open_masks(tmp_path, UNNAMED)
    assert masks.scheme == KITS19
    for name in ("a", "b"):
        assert np.unique(masks.read_on_grid_of(image, name)).tolist() == [0, 1, 2]
    assert label_note(masks.masks.values()) == (
        "labels: right_kidney, left_kidney, tumor in 1 mask, named in the files; "
        "kidney, tumor in 1 mask, not named in the files (--label_scheme)"
    )
    with pytest.raises(InputError, match="expected a mask named c, found none"):
        masks.read_on_grid_of(image, "c")
    with pytest.raises(GridMismatchError, match=r"a\.nii: expected the scan's (grid of|place and axes) "):
        masks.read_on_grid_of(Volume.from_stored(np.zeros((3, 4, 6), np.int16), AFFINE), "a")


def test_a_header_that_cannot_be_read_costs_one_mask(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", [1])
    (tmp_path / "b.nii").write_bytes(b"no image")
    masks = open_masks(tmp_path, UNNAMED)
    assert list(masks.masks) == ["a"] and "b.nii: expected a whole NIfTI file" in str(masks.problems["b"])
    (tmp_path / "a.nii").unlink()
    with pytest.raises(InputError, match="b.nii: expected a whole NIfTI"):
        open_masks(tmp_path, UNNAMED)


@pytest.mark.parametrize(
    "comment",
    [b'{"labels": ["kidney"]}', b'{"a": 1}', b"[1]", b'{"labels": {"1": "tumor", "0": "x"}}', b"drawn by hand"],
)
def test_a_comment_of_another_program_names_nothing(tmp_path: Path, comment: bytes) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", comment))
    nib.save(image, tmp_path / "a.nii")
    assert not open_mask(tmp_path / "a.nii", UNNAMED).is_named


@pytest.mark.parametrize(
    ("classes", "flags", "message"),
    [
        (LATERALITY.classes, {"label_scheme": "kits19"}, "--label_scheme=kits19: .*found 2 masks that name right_kid"),
        (
            KITS19.classes,
            {"label_scheme": "laterality"},
            "--label_scheme=laterality: .* name kidney, tumor, the first",
        ),
        (KITS19.classes, {"cyst_as": "class"}, "--cyst_as=class: expected masks that do not name their labels"),
        ((*KITS19.classes, "cyst"), {"cyst_as": "background"}, "--cyst_as=background: .* name kidney, tumor, cyst"),
        (LATERALITY.classes, {"label_scheme": "laterality", "cyst_as": "kidney"}, ""),
        ((*KITS19.classes, "cyst"), {"cyst_as": "class"}, ""),
        (KITS19.classes, {"cyst_as": "background"}, ""),
        (LATERALITY.classes, {}, ""),
    ],
)
def test_a_flag_that_all_masks_contradict_is_refused(
    tmp_path: Path, classes: tuple[str, ...], flags: dict[str, str], message: str
) -> None:
    settings = MaskSchemeSettings(**flags)
    masks = [open_mask(write(tmp_path / f"{name}.nii", [0, 1, 2], classes), settings) for name in "ab"]
    if message:
        with pytest.raises(InputError, match=message):
            check_flags(masks, settings)
    else:
        check_flags(masks, settings)
    unnamed = open_mask(write(tmp_path / "c.nii", [0, 1, 2]), settings)
    check_flags([*masks, unnamed], settings)  # which the flag is for


def test_cysts_become_the_same_where_schemes_differ(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", [0, 1, 2, 3], LATERALITY.classes)
    write(tmp_path / "b.nii", [0, 1, 2, 3])
    masks = open_masks(tmp_path, MaskSchemeSettings(cyst_as="background"))
    assert masks.scheme == find_scheme("kits19", "background")
    write(tmp_path / "b.nii", [0, 1, 2, 3], (*KITS19.classes, "cyst"))
    masks = open_masks(tmp_path, MaskSchemeSettings(cyst_as="background"))
    image = Volume.from_stored(np.zeros((3, 4, 5), np.int16), AFFINE)
    labels = masks.read_on_grid_of(image, "b")
    assert masks.scheme.cyst_as == "background" and np.bincount(labels.ravel()).tolist()[1:] == [1, 1]
