import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from series import write_series

from kits_tf import config, figures
from kits_tf.analysis.mask_files import open_masks
from kits_tf.base.errors import InputError
from kits_tf.ct.cases import read_labeled
from kits_tf.ct.labels import find_scheme
from kits_tf.ct.layouts import find_cases
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import read_scan
from kits_tf.ct.volume import Volume, read_image, write_labels, write_stored
from kits_tf.pipeline.case import CASE_SPEC, to_training_grid
from kits_tf.pipeline.patches import draw_patch, patch_seed
from kits_tf.pipeline.preview import describe, preview_augmentations
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.views.drawings import style
from kits_tf.views.drawings.montage import GIF_HEIGHT
from kits_tf.views.drawings.prediction_figures import FigurePlan, draw_prediction

RESAMPLING = config.ResamplingSettings(spacing_zyx_mm=(8.0, 6.0, 6.0))
GRID = config.GridSettings(spacing_zyx_mm=RESAMPLING.spacing_zyx_mm)
PATCHES = config.PatchSettings(patch_size_zyx=(8, 32, 32))


def settings(cases: Path, output_dir: Path, **changes: object) -> figures.Figures:
    known = {"data_dir": str(cases), "output_dir": str(output_dir), "augmentations": True}
    return figures.Figures(**known | {"resampling": RESAMPLING, "patches": PATCHES} | changes)


def test_a_sheet_of_augmentations(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    figures.main(settings(data_dir, tmp_path / "out", case=2), [])
    (picture,) = (tmp_path / "out").iterdir()
    assert picture.name == "case_00002_augmentations.png"
    pixels = tf.io.decode_png(picture.read_bytes()).numpy()
    assert min(pixels.shape[:2]) > 1000 and pixels.std() > 20
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == figures.AUGMENTATIONS + 1 and len(set(printed)) > 8


def test_a_mask_is_drawn_as_a_figure_a_montage_and_an_animation(data_dir: Path, tmp_path: Path) -> None:
    files, scheme = find_cases(str(data_dir))[0], find_scheme("laterality", "kidney")
    mask = tmp_path / "masks" / f"{files.case_id}.nii.gz"
    write_labels(mask, read_labeled(files, scheme).labels, like=read_image(files.image), classes=scheme.classes)
    masks = open_masks(mask.parent, config.MaskSchemeSettings())
    plan = FigurePlan(masks=masks, output_dir=tmp_path / "out", montage=True, gif=True)
    draw_prediction(files, plan)
    sizes = {}
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
    assert sorted(sizes) == ["case_00000.gif", "case_00000.png", "case_00000_montage.png"]
    assert sizes["case_00000.gif"][1] == GIF_HEIGHT + 44  # with a legend of two rows
    assert sizes["case_00000.png"][0] == 10 * style.DOTS_PER_INCH
    draw_prediction(files, replace(plan, output_dir=tmp_path / "one", montage=False, gif=False))
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["case_00000.png"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_case_does_not_cost_the_others_and_fails_the_command(
    data_dir: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    masks, scheme = tmp_path / "masks", find_scheme("laterality", "kidney")
    for number, files in enumerate(find_cases(str(data_dir))):
        image = read_image(files.image)
        labels = read_labeled(files, scheme).labels
        path = masks / f"{files.case_id}.nii.gz"
        if number == 1:  # one plane less than the scan has
            less = Volume.from_stored(np.zeros((2, 3, 4), np.int16), np.eye(4))
            write_labels(path, np.zeros(less.array.shape, np.uint8), like=less, classes=scheme.classes)
        elif number < 3:
            write_labels(path, labels, like=image, classes=scheme.classes)
    plan = {"augmentations": False, "predictions_dir": str(masks), "workers": workers}
    with pytest.raises(InputError, match=r"^1 of 3 cases failed, the first: .*case_00001.nii.gz: expected the scan's"):
        figures.main(settings(data_dir, tmp_path / "out", **plan), [])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["case_00000.png", "case_00002.png"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"wrote {tmp_path / 'out'}" and printed[0].startswith("labels: ") and len(printed) == 2
    (failed,) = [message for message in caplog.messages if "failed" in message]
    assert failed.startswith(f"failed: {masks / 'case_00001.nii.gz'}: expected the scan's grid of ")


def test_earlier_pictures_are_replaced_and_files_of_others_are_kept(data_dir: Path, tmp_path: Path) -> None:
    scheme, masks, out = find_scheme("laterality", "kidney"), tmp_path / "masks", tmp_path / "out"
    for files in find_cases(str(data_dir))[:2]:
        labels, image = read_labeled(files, scheme).labels, read_image(files.image)
        write_labels(masks / f"{files.case_id}.nii.gz", labels, like=image, classes=scheme.classes)
    drawn = settings(data_dir, out, augmentations=False, predictions_dir=str(masks), workers=1, montage=True, gif=True)
    figures.main(drawn, [])
    contents = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(contents) == 6 and all(b"Made by kits_tf" in content[:2048] for content in contents.values())
    (out / "case_00000.png").unlink()
    for name in ("case_00001.png", "case_00001_montage.png", "case_00001.gif"):
        (out / name).write_bytes(b"a picture of mine")
        with pytest.raises(
            InputError, match=rf"out/{name}: expected no file or one that kits_tf made, found another; "
        ):
            figures.main(drawn, [])
        assert (out / name).read_bytes() == b"a picture of mine" and not (out / "case_00000.png").exists()
        (out / name).write_bytes(contents[name])
    figures.main(drawn, [])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == contents
    sheet = out / "case_00002_augmentations.png"
    sheet.write_bytes(b"a picture of mine")
    with pytest.raises(InputError, match="case_00002_augmentations.png: expected no file or one that kits_tf made"):
        figures.main(settings(data_dir, out, case=2), [])
    assert sheet.read_bytes() == b"a picture of mine"


def test_masks_of_scans_are_found_by_the_scan_they_were_made_from_or_by_name(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    scheme, masks = find_scheme("laterality", "kidney"), tmp_path / "masks"
    dicom = write_series(tmp_path / "ct", [float(z) for z in range(0, 30, 3)])
    for name, source in (("case_00000", "case_00000"), ("ct", dicom), ("case_00002", "case_00003")):
        image = read_scan(data_dir / source)
        labels = np.zeros(image.array.shape, np.uint8)
        labels[3:6, 3:6, 3:6] = 1
        origin = MaskMetadata(classes=scheme.classes, scan=image.digest(), model="a", warnings=("for trying out",))
        stored = replace(image, array=labels).as_stored()
        write_stored(masks / f"{name}.nii.gz", stored, image.stored.affine, metadata=origin)
    drawing = figures.Figures(predictions_dir=str(masks), output_dir=str(tmp_path / "out"), workers=1)
    with pytest.raises(InputError, match="1 of 4 scans failed"):
        figures.main(drawing, [*(str(data_dir / f"case_0000{i}") for i in (0, 2, 3)), str(dicom)])
    pictures = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert pictures == ["case_00000.png", "case_00003.png", "ct.png"]  # the mask of the second has another name
    assert "WARNING in 2 masks: for trying out" in capsys.readouterr().out
    messages = "\n".join(caplog.messages)
    assert re.search("case_00002.nii.gz: expected the mask of .*, found that it was made from another scan", messages)
    with pytest.raises(
        InputError, match="expected a mask named case_00001, or one made from .*case_00001.*, found none"
    ):
        figures.main(drawing, [str(data_dir / "case_00001")])
    masks.joinpath("again.nii.gz").write_bytes((masks / "case_00002.nii.gz").read_bytes())
    with pytest.raises(InputError, match="expected one mask of .*case_00003.*, found again, case_00002"):
        figures.main(drawing, [str(data_dir / "case_00003")])
    with pytest.raises(InputError, match="expected scans or --data_dir, got both"):
        figures.main(replace(drawing, data_dir=str(data_dir)), [str(dicom)])


def test_a_scan_is_drawn_with_the_mask_that_is_given_after_it(data_dir: Path, tmp_path: Path) -> None:
    """The mask is of another program, and has another name."""
    scan, mask = (str(data_dir / "case_00000" / name) for name in ("imaging.nii.gz", "segmentation.nii.gz"))
    shutil.copyfile(mask, tmp_path / "theirs.nii.gz")
    drawing = figures.Figures(output_dir=str(tmp_path / "out"), workers=1)
    figures.main(drawing, [scan, str(tmp_path / "theirs.nii.gz")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["case_00000.png"]
    series = write_series(tmp_path / "ct", [float(z) for z in range(0, 30, 3)])
    with pytest.raises(InputError, match="theirs.nii.gz: expected the scan's"):
        figures.main(drawing, [str(series), str(tmp_path / "theirs.nii.gz")])
    with pytest.raises(InputError, match="theirs.nii.gz: expected a scan before its mask, got a mask"):
        figures.main(drawing, [str(tmp_path / "theirs.nii.gz")])
    with pytest.raises(InputError, match="--predictions_dir: expected no mask among the scans with it, got .*theirs"):
        figures.main(replace(drawing, predictions_dir="masks"), [scan, str(tmp_path / "theirs.nii.gz")])


def test_previews_are_around_a_label_and_repeat(data_dir: Path) -> None:
    scheme = find_scheme("laterality", "kidney")
    case = to_training_grid("case_00000", read_labeled(find_cases(str(data_dir))[0], scheme), GRID)

    def previews(seed: int, **warp: object) -> list:
        recipe = PatchRecipe(patches=PATCHES, warp=config.WarpSettings(**warp))
        return preview_augmentations(case, scheme, recipe, seed, 3)

    first, again, other = previews(1), previews(1), previews(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        assert one.words == two.words and one.labels.max() > 0
    assert any((one.image != three.image).any() for one, three in zip(first, other, strict=True))
    parsed = CASE_SPEC.parse(case.serialize())
    for epoch, preview in enumerate(first):  # what training does to the case's first patch
        seed = patch_seed(1, tf.constant(epoch, tf.int64), tf.constant("case_00000"), tf.constant(0))
        trained = draw_patch(parsed, seed, PatchRecipe(patches=PATCHES), case.grid.spacing_mm)
        assert preview.words == describe(trained.augmentation, case.grid.spacing_mm)
    turned = previews(1, rotation_probability=1)
    assert all("turned" in preview.words for preview in turned)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_dir": None}, "--augmentations: expected --data_dir with it"),
        ({"augmentations": False, "data_dir": None}, "expected scans or --data_dir, got neither"),
        ({"augmentations": False, "case": 1}, "--case: expected --augmentations with it"),
        ({"predictions_dir": "x"}, "--augmentations: expected no --predictions_dir, --montage or --gif with it"),
        ({"gif": True}, "--augmentations: expected no --predictions_dir, --montage or --gif with it"),
        ({"case": 9}, "expected case 9 with a mask, found 4 other cases with masks"),
    ],
)
def test_mistakes_are_explained(data_dir: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        figures.main(settings(data_dir, tmp_path, **changes), [])
