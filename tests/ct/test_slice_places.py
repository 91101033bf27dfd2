"""Where slices lie: one line, one scan; against positions written down by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from series import COLUMN, NORMAL, ROW, write_series, write_slice

from kits_tf import config
from kits_tf.base.errors import InputError
from kits_tf.ct import dicom
from kits_tf.ct.slice_places import (
    SliceStack,
    check_neighbors_alike,
    check_one_sweep,
    check_places,
    stack_slices,
    sweeps,
)
from kits_tf.ct.volume import Volume

AXIAL = np.array([1.0, 0, 0, 0, 1, 0])


def stack_of(positions: np.ndarray, orientation: np.ndarray = AXIAL) -> SliceStack:
    names = [f"slice{i}" for i in range(len(positions))]
    return stack_slices(names, positions, orientation, np.array([0.8, 0.8]))


def line(count: int = 12, step: float = 2.5) -> np.ndarray:
    return np.array([[-200.0, -180.0, -500 + step * i] for i in range(count)])


def refused(positions: np.ndarray, message: str, *, accept: bool = False) -> None:
    with pytest.raises(InputError, match=message):
        check_places(stack_of(positions), "scan", accept=accept)


def read(folder: Path, irregular_slices: str = "refuse") -> Volume:
    settings = config.DicomSettings(irregular_slices=irregular_slices)
    return dicom.read_series(dicom.find_series(folder, settings), settings, str(folder)).volume


@pytest.mark.parametrize("accept", [False, True])
def test_a_slice_aside_is_named_and_how_far(accept: bool) -> None:
    positions = line()
    positions[4, 0] += 30
    refused(positions, r"found 1 of 12 aside, slice4 by 30\.0 mm", accept=accept)
    positions = line()
    positions[0, 1] -= 12  # at an end
    refused(positions, r"found 1 of 12 aside, slice0 by 12\.0 mm", accept=accept)


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("first", [3, 6, 9])
def test_a_table_that_moved_is_no_tilt(first: int, accept: bool) -> None:
    positions = line()
    positions[first:, 1] += 15
    message = rf"found that those from slice{first} on, {12 - first} of 12, lie 15\.0 mm aside: was the patient moved"
    refused(positions, message, accept=accept)
    positions[:, 1] += np.arange(12) * 2.5 * np.tan(np.radians(12))  # the gantry is tilted as well
    refused(positions, message, accept=accept)


def test_a_tilted_gantry_is_a_line() -> None:
    positions = line()
    positions[:, 1] += np.arange(12) * 2.5 * np.tan(np.radians(12))
    refused(positions, "found a gantry tilted by 12.0 degrees")
    check_places(stack_of(positions), "scan", accept=True)
    assert stack_of(positions).tilt_degrees == pytest.approx(12)


@pytest.mark.parametrize("count", [2, 3, 4, 40])
def test_rounded_positions_are_no_tilt_and_not_aside(count: int) -> None:
    turned = np.array([np.cos(0.1), np.sin(0.1), 0, -np.sin(0.1), np.cos(0.1), 0])
    positions = line(count, 1.25) + np.array([0.04, -0.05, 0.0])
    positions[::2, :2] += 0.09
    check_places(stack_of(np.round(positions, 1), turned), "scan", accept=False)


@given(
    st.floats(-180, 180),
    st.floats(-25, 25),
    st.floats(-25, 25),
    st.sampled_from([3, 4, 6]),
    st.sampled_from([2, 30, 400]),
)
def test_rounded_cosines_are_no_tilt(turn: float, tip: float, roll: float, digits: int, count: int) -> None:
    a, b, c = np.radians([turn, tip, roll])
    rotation = (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        @ np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    )
    positions = np.array([-100.0, -90, 40]) + np.arange(count)[:, None] * 1.5 * rotation[:, 2]
    stack = stack_of(positions, np.round(np.concatenate([rotation[:, 0], rotation[:, 1]]), digits))
    check_places(stack, "scan", accept=False)
    np.testing.assert_allclose(stack.normal, rotation[:, 2], atol=3 * 10.0**-digits)
    assert np.linalg.norm(stack.normal) == pytest.approx(1)


@pytest.mark.parametrize(
    "cosines", [[1, 0, 0, 0, 0.9, 0], [1, 0, 0, 0.1, 1, 0], [0, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]]
)
def test_directions_that_are_none_are_refused(cosines: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="slice0: expected ImageOrientationPatient of two unit vectors"):
        stack_of(line(), np.array(cosines, float))


def test_two_scans_between_each_other_are_refused() -> None:
    both = np.concatenate([line(8, 5.0), line(8, 5.0) + np.array([0, 0, 1.0])])
    for accept in (False, True):
        refused(both, r"distances of 1\.00 and 4\.00 mm in turn: two scans in one series\?", accept=accept)
    refused(np.concatenate([line(), line()]), r"expected one slice a place, found slice0 and slice12 .*12 such places")


def test_acquisitions_beside_each_other_are_one_scan() -> None:
    stack = stack_of(line(12))
    for values in (
        list(range(12)),  # a slice each, step by step
        [1] * 12,
        [1] * 6 + [2] * 6,
        [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4],
        [None] * 12,
        [1, 2, None] + [3] * 9,
    ):
        check_one_sweep(stack, values, "AcquisitionNumber", "scan")
    for values in ([1, 2] * 6, [1, 2, 3] * 4, [1, 2, 2, 1] * 3):
        with pytest.raises(InputError, match="scan: expected one scan, found slices of . acquisitions between"):
            check_one_sweep(stack, values, "AcquisitionNumber", "scan")


def test_passages_are_counted_where_numbers_run_along_the_body() -> None:
    stack = stack_of(line(12))
    up = [float(i) for i in range(12)]
    twice = [float(i // 2 + 100 * (i % 2)) for i in range(12)]  # first every other slice, then those between
    back = [float(i // 2 if i % 2 == 0 else 100 - i // 2) for i in range(12)]
    assert set(sweeps(stack, up)) == {None} and set(sweeps(stack, up[::-1])) == {None}
    assert sweeps(stack, twice) == [0, 1] * 6
    assert set(sweeps(stack, back)) == {None}  # forth and back cannot be told from a shuttle
    assert set(sweeps(stack, [3.0, 9, 1, 7, 0, 11, 4, 2, 8, 10, 5, 6])) == {None}
    assert set(sweeps(stack, [1.0] * 12)) == {None} and set(sweeps(stack, [None, *up[1:]])) == {None}


def test_neighbors_of_a_body_are_alike() -> None:
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[:20, :64, :64]
    body = (400 * np.sin(z / 9 + y / 20) * np.cos(x / 15)).astype(np.int16)
    check_neighbors_alike(body, "scan")
    check_neighbors_alike((body + rng.normal(0, 60, body.shape)).astype(np.int16), "scan")
    check_neighbors_alike(np.zeros((20, 8, 8), np.int16), "scan")
    phases = body + (150 * (z % 2)).astype(np.int16)
    with pytest.raises(InputError, match="more like those two apart than like their neighbors"):
        check_neighbors_alike(phases, "scan")
    check_neighbors_alike(phases[:4], "scan")


def test_phases_in_one_series_are_refused_by_number_and_by_time(tmp_path: Path) -> None:
    for name, changes in (
        ("number", [{"AcquisitionNumber": 1 + i % 2} for i in range(8)]),
        ("time", [{"AcquisitionTime": f"10{30 * (i % 2):02d}{i // 2:02d}"} for i in range(8)]),
        ("instance", [{"InstanceNumber": i // 2 + 4 * (i % 2)} for i in range(8)]),
    ):
        (tmp_path / name).mkdir()
        for i, change in enumerate(changes):
            write_slice(tmp_path / name / f"q{i}", np.array([0.0, 0, 0]) + 2.0 * i * NORMAL, **change)
        with pytest.raises(InputError, match="found slices of 2 acquisitions between each other"):
            read(tmp_path / name)
        with pytest.raises(InputError, match="found slices of 2 acquisitions between each other"):
            read(tmp_path / name, "accept")


def test_a_scan_in_steps_or_with_overlap_is_one_scan(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    for i in range(10):
        place, number = np.array([0.0, 0, 0]) + 2.0 * i * NORMAL, {"AcquisitionNumber": i + 1, "InstanceNumber": i + 1}
        write_slice(tmp_path / "steps" / f"q{i}", place, AcquisitionTime=f"1000{i:02d}.5", **number)
    assert read(tmp_path / "steps").grid.spacing_mm[0] == pytest.approx(2.0)
    overlap = write_series(tmp_path / "overlap", [1.0 * i for i in range(10)], SliceThickness=2.0)
    assert read(overlap).grid.spacing_mm[0] == pytest.approx(1.0)


def test_a_patient_who_was_moved_is_two_scans(tmp_path: Path) -> None:
    write_series(tmp_path, [0.0, 2.0, 4.0])
    write_slice(tmp_path / "other", np.array([-20.0, 30, -5]) + 6 * NORMAL, FrameOfReferenceUID="1.2.3")
    with pytest.raises(InputError, match="expected one FrameOfReferenceUID in all slices, found 2"):
        read(tmp_path, "accept")


def test_slices_that_do_not_name_their_patient_are_not_anothers(tmp_path: Path) -> None:
    write_series(tmp_path, [0.0, 2.0, 4.0])
    write_slice(tmp_path / "other", np.array([-20.0, 30, -5]) + 6 * NORMAL, PatientID="")
    assert len(read(tmp_path).array) == 4


def test_cosines_of_four_digits_give_the_same_scan(tmp_path: Path) -> None:
    angle = np.radians(7)
    row, column = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
    volumes = []
    for digits in (15, 4):
        axes = (np.round(row, digits), np.round(column, digits))
        folder = tmp_path / str(digits)
        folder.mkdir()
        for i in range(6):
            write_slice(folder / f"q{i}", np.array([-20.0, 30, 2.5 * i]), axes)
        volumes.append(read(folder))
    np.testing.assert_allclose(volumes[1].grid.affine, volumes[0].grid.affine, atol=2e-3)
    np.testing.assert_allclose(volumes[1].array, volumes[0].array, atol=1)


def test_what_is_accepted_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(write_series(tmp_path / "gap", [0.0, 2.0, 4.0, 8.0, 10.0]), "accept")
    assert any("1 uneven distances between slices: interpolated" in message for message in caplog.messages)
    (tmp_path / "tilt").mkdir()
    for i in range(6):
        write_slice(tmp_path / "tilt" / f"q{i}", i * (4 * NORMAL + np.tan(np.radians(10)) * 4 * COLUMN), (ROW, COLUMN))
    read(tmp_path / "tilt", "accept")
    assert any("tilted by 10.0 degrees: slices are set upright" in message for message in caplog.messages)
