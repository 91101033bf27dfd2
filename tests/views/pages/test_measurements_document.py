"""The PDF, read back by pypdf."""

import io
from dataclasses import replace

import numpy as np
import pytest
from pypdf import PdfReader

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import FUSED, Measurements
from kits_tf.analysis.morphometry import measure
from kits_tf.ct.labels import LATERALITY
from kits_tf.views.pages.measurements_document import measurements_document

MODEL = "kits sha256:0123456789abcdef --flip_axes=x"
SPACING_MM = (4.0, 2.0, 1.5)


def case_with(num_tumors: int) -> CaseMasks:
    """Returns two boxes of kidneys in muscle, with tumors of 2 x 4 x 4 voxels in the right one."""
    labels = np.zeros((30, 60, 80), np.uint8)
    labels[4:26, 20:40, 10:30], labels[4:26, 20:40, 50:70] = 1, 2
    for i in range(num_tumors):
        z, y, x = 4 + 3 * (i % 7), 20 + 5 * (i // 7 % 4), 11 + 5 * (i // 28)
        labels[z : z + 2, y : y + 4, x : x + 4] = 3
    hu = np.where(labels > 0, 120, 40).astype(np.int16)
    return CaseMasks(case_id="A7", hu=hu, truth=None, predicted=labels, scheme=LATERALITY, spacing_mm=SPACING_MM)


def pages_of(case: CaseMasks, measurements: Measurements, *, is_corrected: bool = False) -> list[str]:
    """Returns the text of each page."""
    content = measurements_document(
        case, measurements, model=MODEL, is_corrected=is_corrected, warnings=["trained on phantoms"]
    )
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def measured(case: CaseMasks) -> Measurements:
    return measure(case.predicted, case.scheme, case.spacing_mm, case.hu)


def test_a_page_has_network_voxels_numbers_and_what_must_be_known() -> None:
    case = case_with(0)
    (text,) = pages_of(case, measured(case))
    voxel_ml = np.prod(SPACING_MM) / 1000
    for part in (
        "A7: kidneys and lesions",
        "Mask by the network kits, as the network made it.",
        f"network: {MODEL}",
        "Scan of 30 x 60 x 80 voxels of 4 x 2 x 1.5 mm (z, y, x)",
        "Not a medical device.",
        "WARNING: trained on phantoms",
        "right kidney",
        f"{22 * 20 * 20 * voxel_ml:.0f}",
        "The mask has no lesion. That does not mean that there is none.",
    ):
        assert part in text, part
    assert "in doubt" not in text


def test_lesions_corrections_and_doubts_are_named() -> None:
    case = case_with(2)
    measurements = measured(case)
    fused = tuple(replace(kidney, flags=(FUSED,)) for kidney in measurements.kidneys)
    (text,) = pages_of(case, replace(measurements, kidneys=fused), is_corrected=True)
    assert "corrected by hand" in text and "tumor 1" in text and "tumor 2" in text and "tumor 3" not in text
    assert "in doubt" in text and text.count(FUSED) == 2


@pytest.mark.parametrize(("number", "pages"), [(2, 1), (28, 2)])
def test_pictures_are_on_a_page_of_their_own_where_there_is_no_room(number: int, pages: int) -> None:
    case = case_with(number)
    measurements = measured(case)
    assert len(measurements.lesions) == number
    texts = pages_of(case, measurements)
    assert len(texts) == pages and ("8 more" in texts[0]) == (number > 20)
