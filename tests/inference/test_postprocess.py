from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from kits_tf import predict
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.inference.postprocess import (
    STEPS,
    Context,
    Postprocessing,
    Step,
    apply_chain,
    chain_for,
    parse_postprocess,
)

SPACING = (2.0, 1.0, 1.0)
RIGHT, LEFT, TUMOR = 1, 2, 3


def context_of(labels: np.ndarray, scheme=LATERALITY) -> Context:
    return Context(scheme, SPACING, np.full(labels.shape, 40, np.int16))


def after(labels: np.ndarray, chain: str) -> np.ndarray:
    before = labels.copy()
    found = apply_chain(labels, context_of(labels), parse_postprocess(chain).chain)
    np.testing.assert_array_equal(labels, before)
    assert found.dtype == np.uint8
    return found


def two_kidneys() -> np.ndarray:
    labels = np.zeros((20, 40, 100), np.uint8)
    labels[5:15, 10:30, 5:25] = RIGHT
    labels[5:15, 10:30, 75:95] = LEFT
    labels[8:12, 15:25, 95:99] = TUMOR
    return labels


def test_kidneys_of_one_two_or_three_components_stay() -> None:
    labels = two_kidneys()
    np.testing.assert_array_equal(after(labels, "kidneys"), labels)
    one = labels * (labels != RIGHT)
    np.testing.assert_array_equal(after(one, "kidneys"), one)
    third = labels.copy()
    third[5:15, 32:38, 40:60] = RIGHT  # a transplant
    np.testing.assert_array_equal(after(third, "kidneys"), third)
    speck = labels.copy()
    speck[0:3, 0:5, 45:50] = TUMOR
    np.testing.assert_array_equal(after(speck, "kidneys"), labels)


def test_specks_have_the_label_around_them() -> None:
    labels = two_kidneys()
    dirty = labels.copy()
    dirty[10, 20, 15] = TUMOR  # in the right kidney
    dirty[10, 20, 85:87] = RIGHT  # in the left one
    dirty[1, 1, 1] = LEFT  # outside
    np.testing.assert_array_equal(after(dirty, "specks:0.01"), labels)
    assert (after(dirty, "specks:0.003")[10, 20, 85:87] == RIGHT).all()  # 2 voxels of 0.002 mL are no speck then
    assert after(dirty, "specks:1")[9, 20, 97] == 0  # the tumor, 0.8 mL, at the rim


def test_holes_are_filled_with_what_is_around_them() -> None:
    labels = two_kidneys()
    dirty = labels.copy()
    dirty[9:11, 18:22, 10:14] = dirty[9, 18, 96] = 0
    dirty[5:15, 10:30, 75] = 0  # open to the outside: no hole
    expected = labels.copy()
    expected[5:15, 10:30, 75] = 0
    np.testing.assert_array_equal(after(dirty, "fill"), expected)


def test_tumor_has_to_touch_a_kidney() -> None:
    labels = two_kidneys()
    far = labels.copy()
    far[8:12, 15:25, 40:50] = TUMOR
    np.testing.assert_array_equal(after(far, "touch"), labels)


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.bool_, (9, 10, 11)), st.sampled_from([1.0, 2.0, 2.5]))
def test_opening_and_closing_are_scipys(mask: np.ndarray, radius_mm: float) -> None:
    """With the ball of a radius, on a grid that is not of cubes; beyond the edges of the scan nothing is known."""
    reach = [int(radius_mm // s) for s in SPACING]
    offsets = np.indices([2 * r + 1 for r in reach]).T - reach
    ball = radius_mm**2 >= ((offsets * SPACING) ** 2).sum(axis=-1).T
    labels = mask.astype(np.uint8) * RIGHT
    if not mask.any():
        return
    core = ndimage.binary_erosion(mask, ball, border_value=1)
    np.testing.assert_array_equal(after(labels, f"open:{radius_mm}") > 0, ndimage.binary_dilation(core, ball))
    grown = ndimage.binary_dilation(mask, ball)
    closed = ndimage.binary_erosion(grown, ball, border_value=1)
    np.testing.assert_array_equal(after(labels, f"close:{radius_mm}") > 0, closed)


def test_a_gap_has_the_nearest_label() -> None:
    labels = np.zeros((5, 20, 30), np.uint8)
    labels[:, :, 5:14], labels[:, :, 16:25] = RIGHT, TUMOR
    closed = after(labels, "close:1.5")
    assert (closed[:, :, 14] == RIGHT).all() and (closed[:, :, 15] == TUMOR).all()
    assert not closed[:, :, :5].any() and not closed[:, :, 25:].any()


def test_tumors_become_kidney_of_their_side() -> None:
    labels = two_kidneys()
    expected = np.where(labels == TUMOR, LEFT, labels)
    np.testing.assert_array_equal(after(labels, "no_tumors"), expected)
    plain = np.array([0, 1, 1, 2], np.uint8)[labels]
    without = apply_chain(plain, context_of(plain, KITS19), parse_postprocess("no_tumors").chain)
    np.testing.assert_array_equal(without, plain > 0)


def test_sides_come_from_geometry() -> None:
    labels = two_kidneys()
    swapped = np.array([0, LEFT, RIGHT, TUMOR], np.uint8)[labels]
    np.testing.assert_array_equal(after(swapped, "sides"), labels)
    plain = np.array([0, 1, 1, 2], np.uint8)[labels]
    found = apply_chain(plain, context_of(plain, KITS19), parse_postprocess("sides").chain)
    np.testing.assert_array_equal(found, plain)


def test_steps_go_in_their_order_and_empty_masks_stay_empty() -> None:
    labels = two_kidneys()
    labels[0:2, 0:4, 45:49] = RIGHT
    labels[0:2, 0:4, 49:51] = TUMOR  # a speck that touches a speck
    assert (after(labels, "touch,specks:10") != after(labels, "specks:10,touch")).sum() == 0
    assert after(labels, "touch")[0, 0, 50] == TUMOR and after(labels, "kidneys,touch")[0, 0, 50] == 0
    empty = np.zeros((3, 4, 5), np.uint8)
    chain = "kidneys,specks:1,fill,touch,no_tumors,open:1,close:1,sides"
    assert not after(empty, chain).any()
    np.testing.assert_array_equal(after(labels, "off"), labels)
    assert {step.name for step in parse_postprocess(chain).chain} == set(STEPS)


def test_texts_are_read_and_written() -> None:
    read = parse_postprocess("crf, kidneys,specks:0.5")
    assert read == Postprocessing(True, (Step("kidneys"), Step("specks", 0.5)))
    for text, written in (("crf,specks:0.50", "crf,specks:0.5"), ("crf", "crf"), ("off", "off"), ("", "off")):
        assert str(parse_postprocess(text)) == written
    assert parse_postprocess("") == parse_postprocess("off") == Postprocessing()
    for wrong, message in (
        ("hearts", "expected steps of crf, kidneys, .* got hearts"),
        ("specks", "expected specks:ML, got specks"),
        ("kidneys:2", "expected kidneys, got kidneys:2"),
        ("open:-1", "expected open:MM with a number above 0, got open:-1"),
        ("open:nan", "with a number above 0"),
        ("open:wide", "with a number above 0"),
        ("kidneys,crf", "expected crf as the first step"),
    ):
        with pytest.raises(InputError, match=message):
            parse_postprocess(wrong)


def test_an_exported_model_keeps_its_graph() -> None:
    exported = parse_postprocess("crf,kidneys")
    assert chain_for(exported, "", "model") == (Step("kidneys"),)
    assert chain_for(exported, "crf,fill", "model") == (Step("fill"),)
    with pytest.raises(InputError, match="^model: expected --postprocess with crf, as exported"):
        chain_for(exported, "fill", "model")
    with pytest.raises(InputError, match="^model: expected --postprocess without crf, as exported"):
        chain_for(parse_postprocess("kidneys"), "crf", "model")


def test_a_plugin_brings_a_step_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from kits_tf.inference.postprocess import postprocess_step\n"
    code += "@postprocess_step('above', unit='HU')\n"
    code += "def above(labels, context, least_hu):\n    return labels * (context.hu >= least_hu)\n"
    (tmp_path / "above.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KITS_TF_PLUGINS", "")
    monkeypatch.setattr(STEPS, "_things", dict(STEPS._things))
    flags = ["--model=run", "--output_dir=masks", "--plugins=above", "--postprocess=above:30,kidneys", "scan.nii.gz"]
    command, _ = predict.COMMAND.parse(flags)
    labels = two_kidneys()
    context = Context(LATERALITY, SPACING, np.where(labels == TUMOR, 20, 40).astype(np.int16))
    processed = apply_chain(labels, context, parse_postprocess(command.inference.postprocess).chain)
    np.testing.assert_array_equal(processed, labels * (labels != TUMOR))
    with pytest.raises(InputError, match="expected above:HU, got above"):
        parse_postprocess("above")
