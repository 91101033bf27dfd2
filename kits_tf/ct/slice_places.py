"""Where the slices of a series lie: in order, on one line, evenly spaced, or why they are not one scan.

Every slice is checked against the line through all of them: so a slice that lies aside is no tilted gantry, and two
scans in one series are not one.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.words import count_text

logger = logging.getLogger(__name__)

# Positions are often rounded to a tenth of a millimeter.
_ROUNDING_MM = 0.11
# Share of the usual distance by which two slices may be nearer or farther.
_UNEVEN = 0.1
# Slices beside their line by less are rounded: whole millimeters are off by 0.71 at most.
_BESIDE_MM = 1.0
# A gantry is tilted by whole degrees. Cosines of three digits make 0.06 degrees.
TILT_DEGREES = 0.5
# Cosines of three digits have lengths and products that are off by 0.0015 at most.
_ORTHONORMAL = 5e-3
# In-plane distance of the pixels that are compared between slices, and the number of slices that is enough to compare.
_EVERY_PIXEL, _ENOUGH_SLICES = 4, 8
# Phases of contrast in one examination.
_MOST_PASSAGES = 5
# Neighbors differ less than slices two apart in every scan of a body; noise alone makes them equal.
_ALTERNATING = 1.25


@dataclass(frozen=True, eq=False, kw_only=True)
class SliceStack:
    """Slices in the order of their places.

    Attributes:
        order: (slices,) index of each slice among those that were given.
        names: names of the slices for messages.
        positions_mm: (slices, 3) center of each slice's first pixel in DICOM's world.
        places_mm: (slices,) those positions along the normal, rising.
        normal: (3,) unit vector across the slices.
        in_plane_mm: (2, 3) way from a row to the next, and from a column to the next.
        drift: (2,) mm by which slices move along columns and along rows, for each mm along the normal.
    """

    order: NDArray[np.intp]
    names: tuple[str, ...]
    positions_mm: NDArray[np.float64]
    places_mm: NDArray[np.float64]
    normal: NDArray[np.float64]
    in_plane_mm: NDArray[np.float64]
    drift: NDArray[np.float64]

    @property
    def tilt_degrees(self) -> float:
        """Angle between the line of the slices and their normal; 0 where rounded positions explain it."""
        drift, travel_mm = float(np.linalg.norm(self.drift)), float(np.ptp(self.places_mm))
        degrees = float(np.degrees(np.arctan(drift)))
        return degrees if degrees > TILT_DEGREES and drift * travel_mm > _BESIDE_MM else 0.0


def stack_slices(
    names: Sequence[str], positions_mm: NDArray, orientation: NDArray, pixel_spacing_mm: NDArray
) -> SliceStack:
    """Returns slices in the order of their places.

    Args:
        names: names of the slices for messages.
        positions_mm: (slices, 3) center of each slice's first pixel, ImagePositionPatient.
        orientation: (6,) cosines along a row and along a column, ImageOrientationPatient; rounded ones are mended.
        pixel_spacing_mm: (2,) distance of rows and of columns, PixelSpacing.

    Raises:
        InputError: the cosines are not those of two directions at right angles.
    """
    along_row, along_column = np.reshape(orientation, (2, 3)).astype(np.float64)
    lengths = np.linalg.norm([along_row, along_column], axis=1)
    if np.abs(lengths - 1).max() > _ORTHONORMAL or abs(along_row @ along_column) > _ORTHONORMAL:
        cosines = "\\".join(f"{value:g}" for value in np.ravel(orientation))
        raise InputError(
            f"{names[0]}: expected ImageOrientationPatient of two unit vectors at right angles, got {cosines}"
        )
    along_row = along_row / lengths[0]
    along_column = along_column - (along_column @ along_row) * along_row
    along_column /= np.linalg.norm(along_column)
    normal = np.cross(along_row, along_column)
    positions = np.asarray(positions_mm, np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    return SliceStack(
        order=order,
        names=tuple(names[i] for i in order),
        positions_mm=positions,
        places_mm=positions @ normal,
        normal=normal,
        in_plane_mm=np.array([along_column, along_row]) * np.reshape(pixel_spacing_mm, (2, 1)).astype(np.float64),
        drift=_drift(positions @ np.array([along_column, along_row]).T, positions @ normal),
    )


def check_places(stack: SliceStack, source: str, *, accept: bool) -> None:
    """Checks that slices lie at different places, on one line, evenly, and above each other.

    Args:
        stack: slices in the order of their places.
        source: path for errors.
        accept: whether slices may be uneven or tilted; they may never lie aside.

    Raises:
        InputError: they do not.
    """
    gaps = np.diff(stack.places_mm)
    if not len(gaps):
        return
    _check_different(stack, source)
    _check_on_a_line(stack, source)
    if _alternate(gaps):
        raise InputError(
            f"{source}: expected evenly spaced slices, found distances of {gaps[0]:.2f} and {gaps[1]:.2f} mm in turn: "
            "two scans in one series?"
        )
    uneven = _uneven(stack.places_mm)
    if accept:
        if uneven.size:
            logger.warning("%s: %d uneven distances between slices: interpolated to even ones", source, uneven.size)
        if stack.tilt_degrees:
            logger.warning("%s: a gantry tilted by %.1f degrees: slices are set upright", source, stack.tilt_degrees)
        return
    if uneven.size:
        first, usual = uneven[0], float(np.median(gaps))
        raise InputError(
            f"{source}: expected evenly spaced slices, found {gaps[first]:.2f} mm after {stack.names[first]} where "
            f"{usual:.2f} mm is usual ({count_text(uneven.size, 'such gap')}): slices are missing; export "
            "the series again with all of them, since what lies between them is not known",
            " (--irregular_slices=accept interpolates)",
        )
    if stack.tilt_degrees:
        raise InputError(
            f"{source}: expected slices above each other, found a gantry tilted by {stack.tilt_degrees:.1f} degrees",
            " (--irregular_slices=accept sets them upright)",
        )


def check_one_sweep(stack: SliceStack, values: Sequence[float | str | None], what: str, source: str) -> None:
    """Checks that the slices of several acquisitions do not lie between each other.

    An acquisition may be a slice, or some slices beside each other, as where the table moves step by step.

    Args:
        stack: slices in the order of their places.
        values: number of the acquisition of each slice, in that order; None where it is not known.
        what: name of the attribute for errors.
        source: path for errors.

    Raises:
        InputError: they do, as two phases in one series.
    """
    if None in values:
        return
    kinds, count = sorted(set(values), key=str), len(values)
    runs = 1 + sum(one != other for one, other in itertools.pairwise(values))
    if 1 < len(kinds) <= count / 2 and runs >= len(kinds) + max(2, count // 4):
        examples = ", ".join(map(str, kinds[:4]))
        raise InputError(
            f"{source}: expected one scan, found slices of {len(kinds)} acquisitions between each other "
            f"({what} {examples}): phases of contrast in one series?"
        )


def sweeps(stack: SliceStack, order: Sequence[float | None]) -> list[int | None]:
    """Returns which passage through the body each slice belongs to, if an attribute orders them in passages.

    Args:
        stack: slices in the order of their places.
        order: number or time of each slice, in the order of the stack; None where it is not known.

    Returns:
        numbers of the passages from 0; None for all slices if these numbers do not run along the body in passages.
    """
    count = len(order)
    unknown: list[int | None] = [None] * count
    if None in order or len(set(order)) < count or count < _ENOUGH_SLICES:
        return unknown
    sequence = np.argsort(np.array(order, np.float64))
    # Where the next slice is at the other end of the body, a new passage begins.
    passages = np.split(sequence, np.flatnonzero(np.abs(np.diff(sequence)) > count / 2) + 1)
    is_steady = all((np.diff(part) > 0).all() or (np.diff(part) < 0).all() for part in passages)
    if not is_steady or not 1 < len(passages) <= _MOST_PASSAGES:
        return unknown
    numbers = np.zeros(count, int)
    for number, part in enumerate(passages):
        numbers[part] = number
    return list(numbers.tolist())


def check_neighbors_alike(array: NDArray[np.int16], source: str) -> None:
    """Checks that neighbors are more alike than slices two apart, as they are in every scan of a body.

    Args:
        array: (slices, rows, columns) int16 HU in the order of their places.
        source: path for errors.

    Raises:
        InputError: they are not, as where two phases lie between each other.
    """
    if len(array) < _ENOUGH_SLICES:
        return
    some = array[:, ::_EVERY_PIXEL, ::_EVERY_PIXEL].astype(np.int32)
    next_to, two_apart = (float(np.abs(some[step:] - some[:-step]).mean()) for step in (1, 2))
    if next_to > _ALTERNATING * two_apart:
        raise InputError(
            f"{source}: expected one scan, found slices that are more like those two apart than like their neighbors "
            f"({two_apart:.0f} and {next_to:.0f} HU): two scans between each other in one series?"
        )


def evenly_spaced(array: NDArray[np.int16], places: NDArray) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Returns slices (n, rows, columns) interpolated to the usual distance, and the plane nearest to each slice."""
    if not _uneven(places).size:
        return array, np.arange(len(places))
    count = int(np.rint((places[-1] - places[0]) / np.median(np.diff(places)))) + 1
    even = np.linspace(places[0], places[-1], count)
    upper = np.clip(np.searchsorted(places, even), 1, len(places) - 1)
    share = ((even - places[upper - 1]) / (places[upper] - places[upper - 1])).astype(np.float32)
    planes = np.empty((count, *array.shape[1:]), np.int16)
    for plane, high, weight in zip(planes, upper, share, strict=True):
        plane[...] = np.rint(array[high - 1] * (1 - weight) + array[high] * weight)
    return planes, np.abs(places[:, None] - even).argmin(axis=1)


def _drift(in_plane: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the slopes (2,) of positions (n, 2) over places (n,), medians over pairs (Theil 1950, Sen 1968)."""
    first, second = np.triu_indices(len(places), 1)
    travel = places[second] - places[first]
    is_apart = travel > _ROUNDING_MM
    if not is_apart.any():
        return np.zeros(2)
    moves = (in_plane[second] - in_plane[first])[is_apart]
    return np.asarray(np.median(moves / travel[is_apart, None], axis=0))


def _check_different(stack: SliceStack, source: str) -> None:
    gaps = np.diff(stack.places_mm)
    same = np.flatnonzero(gaps <= _UNEVEN * min(float(np.median(gaps)), _ROUNDING_MM))
    if same.size:
        first, second = stack.names[same[0]], stack.names[same[0] + 1]
        raise InputError(
            f"{source}: expected one slice a place, found {first} and {second} at one ({same.size} such places): "
            "two scans in one series, or copies?"
        )


def _check_on_a_line(stack: SliceStack, source: str) -> None:
    directions = stack.in_plane_mm / np.linalg.norm(stack.in_plane_mm, axis=1, keepdims=True)
    beside = stack.positions_mm @ directions.T - stack.places_mm[:, None] * stack.drift
    beside -= np.median(beside, axis=0)
    distances = np.linalg.norm(beside, axis=1)
    aside = np.flatnonzero(distances > _BESIDE_MM)
    if aside.size:
        jump = _jump(stack.positions_mm @ directions.T, stack.places_mm)
        if jump is not None:
            first, distance_mm = jump
            raise InputError(
                f"{source}: expected slices on one line, found that those from {stack.names[first]} on, "
                f"{len(distances) - first} of {len(distances)}, lie {distance_mm:.1f} mm aside: was the patient moved?"
            )
        worst = aside[distances[aside].argmax()]
        raise InputError(
            f"{source}: expected slices on one line, found {aside.size} of {len(distances)} aside, "
            f"{stack.names[worst]} by {distances[worst]:.1f} mm: was the patient moved, or is a position wrong?"
        )


def _jump(in_plane: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[int, float] | None:
    """Returns the slice from which on all lie on another line beside the first, and how many mm; None if none does.

    Args:
        in_plane: (n, 2) mm along columns and along rows.
        places: (n,) mm along the normal, rising.
    """
    moves, travel = np.diff(in_plane, axis=0), np.diff(places)[:, None]
    distances = np.linalg.norm(moves - travel * np.median(moves / travel, axis=0), axis=1)
    jumps = np.flatnonzero(distances > _BESIDE_MM) + 1
    # A single slice at an end is one whose position is wrong.
    is_one = jumps.size == 1 and 2 <= jumps[0] <= len(places) - 2
    return (int(jumps[0]), float(distances[jumps[0] - 1])) if is_one else None


def _alternate(gaps: NDArray[np.float64]) -> bool:
    """Returns whether distances take two values in turn, as where two scans lie between each other."""
    if len(gaps) < 4:
        return False
    even, odd = gaps[::2], gaps[1::2]
    tolerance = max(_UNEVEN * float(np.median(gaps)), _ROUNDING_MM)
    is_steady = max(np.ptp(even), np.ptp(odd)) <= tolerance
    return bool(is_steady and abs(np.median(even) - np.median(odd)) > 2 * tolerance)


def _uneven(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the indices of the distances that are not the usual one."""
    gaps = np.diff(places)
    usual = np.median(gaps) if len(gaps) else 0.0
    return np.flatnonzero(np.abs(gaps - usual) > max(_UNEVEN * usual, _ROUNDING_MM))
