"""Invented scans show what their labels say, differ as they should, and are the same again for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from bodies import NUMBERS, body_of_boxes, box, write_label_maps
from scipy import ndimage

from kits_tf import simulate as simulate_command
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR
from kits_tf.ct.layouts import find_cases
from kits_tf.ct.volume import Volume, read_image, read_labels, write_stored
from kits_tf.synthesis import kidneys, lesions, pose
from kits_tf.synthesis.bodies import Body, body_paths, read_body
from kits_tf.synthesis.fields import depth_mm, resized, smooth_noise
from kits_tf.synthesis.organs import paint_body
from kits_tf.synthesis.phantoms import kits19_affine
from kits_tf.synthesis.scanner import scanned
from kits_tf.synthesis.scene import Scene
from kits_tf.synthesis.simulation import simulate
from kits_tf.synthesis.tissues import ANY_PHASE, PHASES, Tissues, draw_tissues
from kits_tf.synthesis.transplants import Kidney, mirrored, own_kidneys, transplant, varied, whole_kidneys

SPACING = 4.0


@pytest.fixture
def body() -> Body:
    return body_of_boxes()


@pytest.fixture
def label_maps(tmp_path: Path) -> Path:
    return write_label_maps(tmp_path / "maps")


def scene_of(body: Body, tissues: Tissues | None = None) -> Scene:
    rng = np.random.default_rng(5)
    return Scene.empty(rng, body, body.structures.copy(), SPACING, tissues or draw_tissues(rng))


@pytest.mark.parametrize("sigma", [0.5, 2.0, 12.0])
def test_noise_has_variance_one_and_is_as_smooth_as_asked(sigma: float) -> None:
    noise = smooth_noise(np.random.default_rng(1), (96, 96, 96), sigma)
    assert noise.shape == (96, 96, 96) and 0.75 < noise.std() < 1.05
    # Of a Gaussian kernel, the correlation at a lag of 2 sigma is exp(-1).
    lag = max(1, round(2 * sigma))
    correlation = np.corrcoef(noise[lag:].ravel(), noise[:-lag].ravel())[0, 1]
    assert abs(correlation - np.exp(-((lag / sigma) ** 2) / 4)) < 0.2


def test_resizing_keeps_a_ramp_where_it_is() -> None:
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 2, 2))
    fine = resized(ramp, (16, 2, 2))[:, 0, 0]
    np.testing.assert_allclose(fine[1:-1], np.arange(0.25, 7, 0.5), atol=1e-6)


def test_depth_is_the_distance_of_a_voxels_center_from_the_surface() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[1:4, 1:4, 1:4] = True
    depth = depth_mm(mask, 2.0)
    assert depth[2, 2, 2] == 3 and depth[1, 2, 2] == 1 and depth[0, 0, 0] == 0


def test_posed_kidneys_keep_their_sides_and_about_their_volume(body: Body) -> None:
    volumes = {2: [], 3: []}
    seen = 0
    for seed in range(12):
        posed = pose.pose_body(np.random.default_rng(seed), body, SPACING)
        if not (posed == 2).any():
            continue
        seen += 1
        right, left = (np.argwhere(posed == number)[:, 2].mean() for number in (2, 3))
        assert right < left
        for number, sizes in volumes.items():
            sizes.append((posed == number).sum() / (body.structures == number).sum())
    assert seen >= 7
    for sizes in volumes.values():
        assert min(sizes) > 0.79**3 * 0.8 and max(sizes) < 1.29**3 * 1.2


def test_in_a_lean_body_soft_organs_grow_into_fat_alone(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pose, "_LEAN_MM", (8.0, 8.0))
    structures = body.structures.copy()
    structures[40:60, 28:40, 16:20] = 0  # a sinus in the right kidney, beside the liver
    lean = pose._lean(np.random.default_rng(0), body, structures, SPACING)
    grown = lean != structures
    np.testing.assert_array_equal(lean[grown], 4)
    distance = ndimage.distance_transform_edt(structures != 4, sampling=SPACING)
    np.testing.assert_array_equal(grown[:, :, 20:], ((structures == 0) & (distance <= 8))[:, :, 20:])
    assert not grown[41:59, 29:39, 16:20].any() and grown[30, 20, 31]


def test_each_part_of_the_body_occurs_and_some_scans_show_no_kidney(body: Body) -> None:
    views = [pose._field_of_view(np.random.default_rng(seed), body) for seed in range(200)]
    assert all(0 <= first < last <= 120 for first, last in views)
    above, below = ([v for v in views if v[1] <= 40], [v for v in views if v[0] >= 60])
    assert 5 < len(above) < 40 and 5 < len(below) < 40
    whole = [(first, last) for first, last in views if first <= 40 and last >= 60]
    assert len(whole) + len(above) + len(below) == 200
    assert any(last - first > 100 for first, last in whole)


def test_tissues_are_within_their_phases_ranges() -> None:
    tissues = [draw_tissues(np.random.default_rng(seed)) for seed in range(300)]
    assert {one.phase for one in tissues} == set(PHASES)
    assert 70 < sum(one.is_unreal for one in tissues) < 140
    for one in tissues:
        for name, (low, high) in ({} if one.is_unreal else PHASES[one.phase] | ANY_PHASE).items():
            assert low <= one.hu[name] <= high, (one.phase, name)


def test_a_scan_has_its_tissues_where_its_labels_are(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kidneys, "_SINGLE_SHARE", 0)
    monkeypatch.setattr(lesions, "_LESIONS", 0)
    rng = np.random.default_rng(3)
    tissues = draw_tissues(rng)
    tissues.hu.update(cortex=200.0, medulla=200.0, liver=100.0, urine=200.0, fat=-100.0)
    scene = scene_of(body, tissues)
    kidneys.place_kidneys(scene, [])
    paint_body(scene)
    kidneys.paint_kidneys(scene)
    own = np.isin(body.structures, [2, 3, 6])
    np.testing.assert_array_equal(scene.labels, own.astype(np.uint8))
    near = depth_mm(own, SPACING)
    assert abs(np.median(scene.hu[own & (near < 10)]) - 200) < 10
    assert abs(np.median(scene.hu[body.structures == 4]) - 100) < 15
    shown = scanned(scene)
    assert shown.dtype == np.int16 and abs(np.median(shown[own & (near < 10)]) - 200) < 30
    assert np.median(shown[:, :2]) < -900


def hollow_kidney() -> tuple[np.ndarray, np.ndarray]:
    """A kidney of 48 mm around a sinus of 16 mm that is open to the front, and the sinus; cubes of 2 mm."""
    kidney, sinus = np.zeros((40, 40, 40), bool), np.zeros((40, 40, 40), bool)
    kidney[8:32, 8:32, 8:32] = True
    sinus[16:24, 8:24, 16:24] = True
    return kidney & ~sinus, sinus


def scene_of_kidney(kidney: np.ndarray, seed: int = 0, **hu: float) -> Scene:
    body = Body("hollow", kidney.astype(np.uint8) * np.uint8(3), (2.0, 2.0, 2.0), NUMBERS)
    rng = np.random.default_rng(seed)
    tissues = draw_tissues(rng)
    tissues.hu.update(hu)
    return Scene.empty(rng, body, body.structures.copy(), 2.0, tissues)


def test_the_sinus_that_a_kidney_encloses_is_labeled_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kidneys, "_SINGLE_SHARE", 0)
    own, sinus = hollow_kidney()
    scene = scene_of_kidney(own)
    scene.structures[18:22, 10:12, 18:22] = 4  # an organ keeps its place in it
    kidneys.place_kidneys(scene, [])
    assert not (scene.sinus & ~sinus).any() and not (scene.sinus & (scene.structures == 4)).any()
    np.testing.assert_array_equal(scene.sinus[:, 14:], sinus[:, 14:])  # 12 mm behind the opening, where no ball enters
    np.testing.assert_array_equal(scene.labels, (own | scene.sinus).astype(np.uint8))


def test_cortex_lies_outside_and_between_pyramids_and_fat_in_the_sinus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kidneys, "_SINGLE_SHARE", 0)
    monkeypatch.setattr(kidneys, "_OBSTRUCTED_SHARE", 0)
    own, sinus = hollow_kidney()
    columns = []
    for seed in range(6):
        scene = scene_of_kidney(own, seed, cortex=200, medulla=80, fat=-100, urine=0, vein=150, artery=150)
        kidneys.place_kidneys(scene, [])
        kidneys._paint_kidney(*scene.part(scene.labels > 0))
        depth = depth_mm(own | sinus, 2.0)
        assert abs(np.median(scene.hu[own & (depth < 2)]) - 200) < 10
        assert scene.hu[sinus].mean() < 80
        inner = own & (depth > 12) & (scene.hu > 30)
        columns.append((scene.hu[inner] > 140).mean())
    assert min(columns) > 0.1 and max(columns) < 0.9 and np.ptp(columns) > 0.1


def test_femora_are_cortex_around_marrow_that_may_be_as_bright_as_a_kidney(body: Body) -> None:
    inner = depth_mm(body.structures == 5, SPACING) > 6
    marrow, cortex = [], []
    for seed in range(10):
        scene = Scene.empty(
            np.random.default_rng(seed), body, body.structures.copy(), SPACING, draw_tissues(np.random.default_rng(0))
        )
        paint_body(scene)
        marrow.append(np.median(scene.hu[inner]))
        cortex.append(scene.hu[(body.structures == 5) & ~inner].max())
    assert min(cortex) >= 400 and max(cortex) > 1000
    assert min(marrow) < 30 and any(100 < value < 300 for value in marrow)


def test_a_single_kidney_occurs(body: Body) -> None:
    counts = []
    for seed in range(60):
        scene = Scene.empty(
            np.random.default_rng(seed), body, body.structures.copy(), SPACING, draw_tissues(np.random.default_rng(0))
        )
        kidneys.place_kidneys(scene, [])
        counts.append(sum(bool((scene.labels[..., half] > 0).any()) for half in (slice(0, 35), slice(35, None))))
        assert not np.isin(scene.structures, body.kidneys).any()
    assert set(counts) == {1, 2} and counts.count(1) < 15


def kidney_mask() -> Volume:
    """A right kidney with a tumor and a cyst, and a left one that the last plane cuts off; 3 x 1 x 1 mm."""
    stored = np.zeros((30, 60, 200), np.uint8)
    box(stored, 1, (5, 20), (20, 50), (30, 60))
    box(stored, 2, (8, 12), (20, 30), (30, 42))
    box(stored, 3, (14, 16), (40, 46), (50, 56))
    box(stored, 1, (10, 30), (20, 50), (140, 170))
    stored[0, 0, 0] = 1  # a speck
    return Volume.from_stored(stored, kits19_affine((3.0, 1.0, 1.0)))


def test_whole_kidneys_of_a_mask_keep_side_volume_and_tumor() -> None:
    (kidney,) = whole_kidneys(kidney_mask(), 1.5)
    assert kidney.side == "right"
    assert kidney.labels.shape == (30, 20, 20)
    assert (kidney.labels > 0).sum() * 1.5**3 == pytest.approx(45 * 30 * 30, rel=0.01)
    assert (kidney.labels == CHALLENGE_TUMOR).sum() * 1.5**3 == pytest.approx(12 * 10 * 12, rel=0.1)


def test_a_mask_without_kidneys_gives_none() -> None:
    empty = Volume.from_stored(np.zeros((4, 5, 6), np.uint8), kits19_affine((3.0, 1.0, 1.0)))
    assert whole_kidneys(empty, 2.0) == []


def test_a_single_kidney_has_the_side_on_which_it_lies() -> None:
    stored = np.zeros((10, 20, 100), np.uint8)
    box(stored, 1, (2, 8), (5, 15), (60, 80))
    (kidney,) = whole_kidneys(Volume.from_stored(stored, kits19_affine((4.0, 2.0, 2.0))), 4.0)
    assert kidney.side == "left"


def test_a_transplant_lies_at_its_place_and_makes_way_for_bone() -> None:
    kidney = Kidney(np.full((3, 4, 5), CHALLENGE_KIDNEY, np.uint8), "left", 4.0)
    kidney.labels[0, 0, 0] = CHALLENGE_TUMOR
    labels, bone = np.zeros((20, 30, 40), np.uint8), np.zeros((20, 30, 40), bool)
    where = transplant(kidney, (10, 15.5, 20), labels, bone)
    assert np.argwhere(where).min(0).tolist() == [9, 14, 18] and np.argwhere(where).max(0).tolist() == [11, 17, 22]
    assert labels[9, 14, 18] == CHALLENGE_TUMOR and (labels > 0).sum() == 60

    bone[:, :, :19] = True  # the spine, on the right of a left kidney
    labels[:] = 0
    moved = transplant(kidney, (10, 15.5, 20), labels, bone)
    assert np.argwhere(moved).min(0)[2] == 19 and not (moved & bone).any() and (labels > 0).sum() == 60


def test_a_transplant_without_room_is_cut_by_bone_and_by_the_scans_end() -> None:
    kidney = Kidney(np.full((4, 4, 4), CHALLENGE_KIDNEY, np.uint8), "right", 4.0)
    labels, bone = np.zeros((5, 30, 30), np.uint8), np.ones((5, 30, 30), bool)
    assert not transplant(kidney, (2, 15, 15), labels, bone).any() and not labels.any()
    free = np.zeros_like(bone)
    transplant(kidney, (0, 15, 15), labels, free)
    assert (labels > 0).sum() == 2 * 16  # its first two planes lie above the scan


def test_kidneys_of_a_body_have_its_sides_and_volumes(body: Body) -> None:
    right, left = own_kidneys(body, 2.0)
    assert (right.side, left.side) == ("right", "left")
    for kidney, numbers in ((right, [2]), (left, [3, 6])):
        assert (kidney.labels > 0).sum() * 8 == pytest.approx(np.isin(body.structures, numbers).sum() * 64, rel=0.05)


def test_a_mirrored_kidney_is_of_the_other_side() -> None:
    kidney = Kidney(np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3, "left", 2.0)
    assert mirrored(kidney).side == "right" and mirrored(kidney).labels[0, 1].tolist() == [0, 2]
    np.testing.assert_array_equal(mirrored(mirrored(kidney)).labels, kidney.labels)


def test_a_varied_kidney_differs_by_about_what_is_said_and_keeps_its_tumor() -> None:
    labels = np.zeros((40, 24, 20), np.uint8)
    labels[4:36, 4:20, 4:16] = CHALLENGE_KIDNEY
    labels[10:20, 6:14, 6:14] = CHALLENGE_TUMOR
    kidney = Kidney(labels, "left", 3.0)
    volumes, shares = [], []
    for seed in range(30):
        other = varied(np.random.default_rng(seed), kidney)
        inside = other.labels > 0
        assert other.side == "left" and all(inside.any(axes).all() for axes in ((1, 2), (0, 2), (0, 1)))
        volumes.append(inside.sum() / (labels > 0).sum())
        shares.append((other.labels == CHALLENGE_TUMOR).sum() / inside.sum())
    assert 0.78**3 * 0.85 < min(volumes) < 0.8 and 1.1 < max(volumes) < 1.21**3 * 1.15
    np.testing.assert_allclose(shares, 640 / (32 * 16 * 12), atol=0.04)


def test_donors_replace_the_kidney_of_their_side(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kidneys, "_SINGLE_SHARE", 0)
    donor = Kidney(np.full((10, 6, 6), CHALLENGE_TUMOR, np.uint8), "right", SPACING)
    scene = scene_of(body)
    kidneys.place_kidneys(scene, [donor])
    assert (scene.labels == CHALLENGE_TUMOR).sum() == 360
    assert np.argwhere(scene.labels == CHALLENGE_TUMOR)[:, 2].mean() < 35  # on the right
    np.testing.assert_array_equal(scene.labels == CHALLENGE_KIDNEY, np.isin(body.structures, [3, 6]))


def test_the_same_seed_gives_the_same_scan_and_another_one_another(body: Body) -> None:
    first, again, other = (simulate(np.random.default_rng(seed), body, [], SPACING) for seed in (2, 2, 3))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


def test_the_command_writes_cases_that_convert_reads_and_leaves_what_is_there(
    label_maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    arguments = [f"--label_maps={label_maps}", f"--output_dir={out}", "--spacing_mm=4", "--workers=1"]
    run = simulate_command.COMMAND.parse([*arguments, "--cases=0-1"])[0]
    simulate_command.main(run)
    cases = find_cases(str(out))
    assert [case.case_id for case in cases] == ["case_01000", "case_01001"]
    image, mask = read_image(cases[0].image), read_labels(cases[0].labels)
    assert image.grid.same_as(mask.grid) and image.grid.spacing_mm == (4, 4, 4) and mask.array.max() <= 2
    before = (out / "case_01000/imaging.nii.gz").read_bytes()
    simulate_command.main(simulate_command.COMMAND.parse([*arguments, "--cases=0-2"])[0])
    assert (out / "case_01000/imaging.nii.gz").read_bytes() == before
    assert "case_01000: is there" in capsys.readouterr().out
    with pytest.raises(InputError, match="holds cases of other settings, got --seed=3; use a new folder"):
        simulate_command.main(simulate_command.COMMAND.parse([*arguments, "--seed=3"])[0])


def test_bad_label_maps_are_refused(tmp_path: Path, label_maps: Path, body: Body) -> None:
    with pytest.raises(InputError, match="expected label maps .* found none"):
        body_paths(str(tmp_path / "nowhere"))
    write_stored(label_maps / "liver.nii.gz", np.full((4, 4, 4), 4, np.uint8), kits19_affine((4.0, 4.0, 4.0)))
    with pytest.raises(InputError, match=r"liver.nii.gz: expected a body with a right kidney"):
        read_body(label_maps / "liver.nii.gz")
    (label_maps / "classes.json").write_text('["kidney"]')
    with pytest.raises(InputError, match="expected numbers by name"):
        read_body(label_maps / "box.nii.gz")
