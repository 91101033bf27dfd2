"""Scans out of label maps, in KiTS19's layout: drawing one, and writing a data set of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME, CaseFiles
from kits_tf.ct.volume import read_labels, write_stored
from kits_tf.synthesis.bodies import SIDES, Body, read_body
from kits_tf.synthesis.kidneys import paint_kidneys, place_kidneys
from kits_tf.synthesis.organs import paint_body
from kits_tf.synthesis.phantoms import kits19_affine
from kits_tf.synthesis.pose import pose_body
from kits_tf.synthesis.scanner import paint_table, scanned
from kits_tf.synthesis.scene import Scene
from kits_tf.synthesis.tissues import draw_tissues
from kits_tf.synthesis.transplants import Kidney, mirrored, own_kidneys, varied, whole_kidneys

# How many scans have kidneys of a data set, if there is one, and how many of the others have those of any body.
_DATA_SET_SHARE = 0.5
_BODY_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a data set of invented scans is drawn from.

    Attributes:
        bodies: label maps.
        donors: cases whose kidneys and tumors are put into bodies; none: bodies keep their own.
        spacing_mm: voxel size of the scans, which are cubes.
        seed: seed of all that is random.
    """

    bodies: Sequence[Path]
    donors: Sequence[CaseFiles]
    spacing_mm: float
    seed: int


def simulate(
    rng: np.random.Generator, body: Body, donors: Sequence[Kidney], spacing_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Returns a scan of a body, (z, y, x) int16 HU in (I, P, L), and its labels, uint8, the challenge's.

    Some scans show no kidney (`pose.PARTS`).

    Args:
        rng: source of all that is random; the same state gives the same scan.
        body: body that is posed, painted and scanned.
        donors: kidneys that replace the body's own, at most one a side, on cubes of `spacing_mm`.
        spacing_mm: voxel size of the scan.
    """
    structures = pose_body(rng, body, spacing_mm)
    scene = Scene.empty(rng, body, structures, spacing_mm, draw_tissues(rng))
    place_kidneys(scene, donors)
    paint_body(scene)
    paint_kidneys(scene)
    paint_table(scene)
    return scanned(scene), scene.labels


def write_case(case_dir: Path, number: int, plan: Plan) -> str:
    """Writes imaging.nii.gz and segmentation.nii.gz of the plan's case of a number, and returns a line about it.

    Cases take turns with the bodies. The mask is written last: a case that has one is whole, and is left as it is.

    Args:
        case_dir: folder of the case, which is made.
        number: number of the case; the same plan and number give the same case.
        plan: what the data set is drawn from.

    Raises:
        InputError: a label map or a donor's mask cannot be read.
    """
    if (case_dir / LABELS_NAME).exists():
        return f"{case_dir.name}: is there"
    rng = np.random.default_rng([plan.seed, number])
    body = read_body(plan.bodies[number % len(plan.bodies)])
    hu, labels = simulate(rng, body, _donors(rng, plan), plan.spacing_mm)
    affine = kits19_affine((plan.spacing_mm,) * 3)
    write_stored(case_dir / IMAGE_NAME, hu, affine)
    write_stored(case_dir / LABELS_NAME, labels, affine)
    kidney, tumor = (round(int((labels == value).sum()) * plan.spacing_mm**3 / 1000) for value in (1, 2))
    return f"{case_dir.name}: {body.name}, {' x '.join(map(str, hu.shape))}, kidney {kidney} mL, tumor {tumor} mL"


def _donors(rng: np.random.Generator, plan: Plan) -> list[Kidney]:
    """Returns the kidneys that replace a body's own, at most one a side: of a data set, of another body, or none."""
    if plan.donors and rng.random() < _DATA_SET_SHARE:
        files = plan.donors[int(rng.integers(len(plan.donors)))]
        kidneys = whole_kidneys(read_labels(str(files.labels)), plan.spacing_mm)
    elif rng.random() < _BODY_SHARE:
        kidneys = own_kidneys(read_body(plan.bodies[int(rng.integers(len(plan.bodies)))]), plan.spacing_mm)
    else:
        return []
    if rng.random() < 0.5:
        kidneys = [mirrored(kidney) for kidney in kidneys]
    by_side = {side: [kidney for kidney in kidneys if kidney.side == side] for side in SIDES}
    largest = [max(own, key=lambda kidney: (kidney.labels > 0).sum()) for own in by_side.values() if own]
    return [varied(rng, kidney) for kidney in largest]
