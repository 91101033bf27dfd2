from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.base.errors import InputError
from kits_tf.ct.graph_hounsfield import intensity_check
from kits_tf.ct.hounsfield import RULES, IntensityError, hounsfield_problem
from kits_tf.synthesis.phantoms import draw_phantom

SEEDS = st.integers(0, 3)


@cache
def scan(seed: int = 0) -> np.ndarray:
    """Returns a phantom of 5 mm with the noise of a CT, (z, y, x) int16 HU."""
    rng = np.random.default_rng(seed)
    hu, _ = draw_phantom(rng, (5.0, 5.0, 5.0))
    return as_int16(np.maximum(hu + rng.normal(0, 15, hu.shape), -1024))


def as_int16(values: np.ndarray) -> np.ndarray:
    """Returns values as they would be read from a file."""
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def padded(hu: np.ndarray, value: int) -> np.ndarray:
    """Returns a scan with one value outside the circle of its field of view."""
    y, x = (np.linspace(-1, 1, size) for size in hu.shape[1:])
    return np.where(y[:, None] ** 2 + x**2 > 1, np.int16(value), hu)


def with_share(hu: np.ndarray, share: float, value: int) -> np.ndarray:
    """Returns a scan of which a share of the voxels has a value."""
    return np.where(np.random.default_rng(7).random(hu.shape) < share, np.int16(value), hu)


def windowed(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns a scan as shares of a window."""
    return (np.clip(hu.astype(float), low, high) - low) / (high - low)


def magnetic(hu: np.ndarray, largest: float) -> np.ndarray:
    """Returns an MR of the same body: fat is bright, air and bone are dark, noise is never below 0."""
    signal = np.interp(hu, [-900, -200, -110, -60, 0, 60, 200, 450], [0.01, 0.2, 0.9, 0.7, 0.6, 0.4, 0.5, 0.1])
    return np.abs(largest * (signal + np.random.default_rng(3).normal(0, 0.02, hu.shape)))


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu,
        lambda hu: np.clip(hu, -1000, 1000),
        lambda hu: np.clip(hu, -1000, 400),
        lambda hu: np.clip(hu, -1024, 3071),
        lambda hu: with_share(hu, 3e-4, 3071),
        lambda hu: with_share(hu, 3e-4, 30000),
        lambda hu: hu[20:21],
        lambda hu: hu[:, 10:-10, 15:-15],
        lambda hu: np.pad(hu, ((0, 0), (60, 60), (60, 60)), constant_values=-1000),
        lambda hu: as_int16(hu + np.random.default_rng(1).normal(0, 60, hu.shape)),
        lambda hu: np.full_like(hu, -1000),  # no structure is in it, and none will be seen
        lambda hu: np.full_like(hu, -1024),
        lambda hu: hu[:, :3, :3],
        *(lambda hu, value=value: padded(hu, value) for value in (-1024, -2000, -2048, -3024, -32768)),
    ],
)
def test_what_is_in_hounsfield_units_is_accepted(change: Callable) -> None:
    for seed in range(2):
        assert hounsfield_problem(change(scan(seed))) == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda hu: np.zeros_like(hu), "got 0 in every voxel: an empty scan?"),
        (lambda hu: np.full_like(hu, -2000), "got -2000 in every voxel: an empty scan?"),
        (lambda hu: np.full_like(hu, 40), "got 40 in every voxel: an empty scan?"),
        (lambda hu: windowed(hu, hu.min(), hu.max()), "got values 0..1: normalized already, or a mask?"),
        (lambda hu: 2 * windowed(hu, -1000, 400) - 1, "got values -1..1: normalized already, or a mask?"),
        (lambda hu: hu / 1000, "got values -1..0: normalized already, or a mask?"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "got values -1..2: z-scores already?"),
        (lambda hu: (np.clip(hu, -79, 304) - 101) / 76.9, "got values -2..3: z-scores already?"),
        (lambda hu: np.digitize(hu, [0, 90, 250]), "got values 0..3: a mask, or PET?"),
        (lambda hu: 255 * windowed(hu, -160, 240), "got values 0..255: an 8-bit window?"),
        (lambda hu: 200 * windowed(hu, -1000, 1000), "an 8-bit window?"),
        (lambda hu: 255 * windowed(hu, -160, 240) - 128, "got values -128..127, "),
        (lambda hu: np.clip(hu, -79, 304), "% of the voxels at -79 and"),
        (lambda hu: np.clip(hu, -200, 300), "% at 300: was a window applied?"),
        (lambda hu: np.clip(hu, -325, 325), "was a window applied?"),
        (lambda hu: np.clip(hu, -450, 1050), "was a window applied?"),
        (lambda hu: magnetic(hu, 600), "none below 0: no CT, as an MR, or was an offset lost?"),
        (lambda hu: magnetic(hu, 1500), "no CT"),  # its tissues lie near 1000 too
        (lambda hu: magnetic(hu, 4000), "none below 0: no CT, as an MR, or was an offset lost?"),
        (lambda hu: padded(as_int16(magnetic(hu, 800)), -1024), "where fat is: no CT, as an MR?"),
        (lambda hu: hu / 10, "was a window applied?"),
        (lambda hu: hu * 10, "of the body above 300: no CT, or was a number added?"),
        (lambda hu: padded(hu + np.int16(8192), -1024), "100 % of the body above 300: no CT, or was a number added?"),
        (lambda hu: hu + np.int16(8192), "none below 0: no CT, as an MR, or was an offset lost?"),
        (lambda hu: hu.astype(float) + 32768, "32767, none below 0"),
        (lambda hu: -hu, "or is it inverted, or no CT?"),
        (lambda hu: hu - np.int16(1024), "below -200: was an offset of -1024 added twice, or is it air alone?"),
        (lambda hu: np.maximum(hu - np.int16(1024), -1024), "added twice, or is it air alone?"),
        (lambda hu: padded(hu - np.int16(1000), -3024), "added twice, or is it air alone?"),
        (
            lambda hu: np.where(hu > -150, hu, -150 - 48 * np.random.default_rng(2).random(hu.shape) ** 3),
            "no air below -200: no CT, or cropped to less than a",
        ),
        (
            lambda hu: np.concatenate([hu[:20], hu[20:] + np.int16(1024)]),  # in some slices
            "was an offset of 1024 or 1000 lost",
        ),
    ],
)
def test_what_is_not_is_refused_with_the_evidence(change: Callable, problem: str) -> None:
    for seed in range(2):
        message = hounsfield_problem(as_int16(change(scan(seed))))
        assert message.startswith("expected Hounsfield units, got ") and problem in message, message


@given(
    seed=SEEDS,
    offset=st.sampled_from([1000, 1023, 1024]),
    padding=st.sampled_from([None, 0, -1, -1000, -1024, -2000, -2048, -3024]),
    lowest=st.sampled_from([-32768, -40, 0]),
    highest=st.sampled_from([4095, 32767]),
)
def test_a_lost_offset_is_always_seen(seed: int, offset: int, padding: int | None, lowest: int, highest: int) -> None:
    hu = np.clip(scan(seed) + np.int16(offset), lowest, highest)
    message = hounsfield_problem(hu if padding is None else padded(hu, padding))
    assert "and the body near" in message and "was an offset of 1024 or 1000 lost" in message


@given(seed=SEEDS, data=st.data())
def test_parts_of_a_scan_are_accepted(seed: int, data: st.DataObject) -> None:
    part = []
    for size in scan(seed).shape:
        length = data.draw(st.integers(round(0.6 * size), size))
        start = data.draw(st.integers(0, size - length))
        part.append(slice(start, start + length))
    assert hounsfield_problem(scan(seed)[tuple(part)]) == ""


def test_the_numbers_of_the_evidence_by_hand() -> None:
    # 100 voxels: 40 of air at 24 and 10 beside it, 30 of soft tissue at 1070 and 20 of fat at 920.
    hu = np.repeat([24, 30, 1070, 920], [40, 10, 30, 20]).astype(np.int16)
    assert hounsfield_problem(hu) == (
        "expected Hounsfield units, got air near 24 and the body near 1070: "
        "was an offset of 1024 or 1000 lost, or is it inverted, or no CT?"
    )
    window = np.repeat([-160, 50, 100, 240], [60, 20, 15, 5]).astype(np.int16)
    assert hounsfield_problem(window) == (
        "expected Hounsfield units, got values -160..240, 60 % of the voxels at -160 and 5 % at 240: "
        "was a window applied?"
    )
    # 200 of 1000 voxels of 1000 are a body, one of them as dense as fat: 0.5 %, half of what is expected.
    lean = np.repeat([-1000, -100, 40], [800, 1, 199]).astype(np.int16)
    assert hounsfield_problem(lean) == (
        "expected Hounsfield units, got 0.5 % of the body in -200..-20, where fat is: no CT, as an MR?"
    )
    assert hounsfield_problem(np.repeat([-1000, -100, 40], [800, 3, 197]).astype(np.int16)) == ""


def test_any_memory_order_and_no_voxel() -> None:
    assert hounsfield_problem(scan().transpose(2, 0, 1)[::-1]) == ""
    assert hounsfield_problem(np.zeros((0, 3, 3), np.int16)) == ""
    with pytest.raises(InputError, match="expected Hounsfield units as int16, got float32"):
        hounsfield_problem(scan().astype(np.float32))


def test_the_error_names_the_flag() -> None:
    error = IntensityError("the evidence")
    assert isinstance(error, InputError) and error.reason == "the evidence"
    assert str(error) == "the evidence (--accept_intensities segments it anyway)"


@tf.function(input_signature=[tf.TensorSpec([None] * 3, tf.int16)], autograph=False)
def checked(hu: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([intensity_check(hu, "Advice.")]):
        return tf.size(hu)


def refusal_by_graph(hu: np.ndarray) -> str:
    try:
        checked(hu)
    except tf.errors.InvalidArgumentError as error:
        return error.message
    return ""


def agree(hu: np.ndarray) -> bool:
    """Returns whether array and graph decide by the same rule."""
    message, by_graph = hounsfield_problem(hu), refusal_by_graph(hu)
    if not message:
        return not by_graph
    low_and_high = f"[{hu.min()} {hu.max()}]"
    reason = message.rpartition(": ")[2]
    return f"[hu: expected Hounsfield units: {reason} Advice. Values from and to] {low_and_high}" in by_graph


# Values of air, fat, soft tissue, bone and a body with an offset, and single ones.
_MEANS = st.sampled_from([-2000, -1000, -600, -300, -100, -1, 0, 1, 40, 250, 500, 900, 1100, 2000, 30000])
_PARTS = st.lists(st.tuples(_MEANS, st.sampled_from([0, 1, 30, 200]), st.integers(1, 400)), min_size=2, max_size=5)


@given(parts=_PARTS, seed=st.integers(0, 9))
def test_the_graph_decides_as_arrays_do(parts: list[tuple[int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = as_int16(np.concatenate([rng.normal(mean, spread, count) for mean, spread, count in parts]))
    rng.shuffle(values)
    hu = np.resize(values, (5, 7, len(values) // 5 + 1))
    if hu.min() < hu.max():
        assert agree(hu)


def test_the_graph_has_every_rule_and_passes_one_value() -> None:
    assert (
        agree(scan())
        and agree(scan()[:, :3, :3])
        and agree(scan()[:, :, ::-1])
        and agree(np.pad(scan(), 3, constant_values=-2000))
    )
    for change in (lambda hu: hu + np.int16(1024), lambda hu: np.clip(hu, -160, 240), lambda hu: as_int16(hu / 1000)):
        assert refusal_by_graph(change(scan())) and agree(change(scan()))
    # As a server's warm-up request is; a scan without a voxel is refused for that.
    assert not refusal_by_graph(np.zeros((3, 4, 5), np.int16))
    assert not refusal_by_graph(np.zeros((0, 4, 5), np.int16)) and not refusal_by_graph(np.zeros((4, 5, 0), np.int16))
    assert len({rule.question for rule in RULES}) == len(RULES)
