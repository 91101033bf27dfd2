from dataclasses import replace

import numpy as np
import pytest
from conftest import affine_of

from kits_tf.ct.hounsfield import IntensityError
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.volume import Volume
from kits_tf.inference.model import Model, Segmentation
from kits_tf.inference.postprocess import parse_postprocess

# 1000 voxels of air, fat and soft tissue, and what is left of them in a window.
CT = np.repeat([-1000, -100, 40], [600, 150, 250]).reshape(10, 10, 10).astype(np.int16)
WINDOW = np.clip(CT, -79, 304)
PROBLEM = (
    "expected Hounsfield units, got values -79..40, 75 % of the voxels at -79 and 25 % at 40: was a window applied?"
)


def segment(hu: np.ndarray, affine: np.ndarray) -> Segmentation:
    zeros = np.zeros(4, np.float32)
    return Segmentation(labels=(hu > 0).astype(np.uint8), volumes_ml=zeros, confidence=zeros)


def image(hu: np.ndarray) -> Volume:
    return Volume.from_stored(hu, affine_of("RAS"))


@pytest.mark.parametrize("chain", ["off", "specks:0.1"])
def test_other_intensities_than_hounsfield_units_are_refused_or_bear_a_warning(
    chain: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(segment, LATERALITY, parse_postprocess(chain).chain)
    assert model.segmentation(image(CT)).warnings == () and caplog.records == []
    for use in (model.segmentation, model.labels):
        with pytest.raises(IntensityError) as refused:
            use(image(WINDOW))
        assert str(refused.value) == f"{PROBLEM} (--accept_intensities segments it anyway)"
    accepting = replace(model, accept_intensities=True)
    assert accepting.segmentation(image(CT)).warnings == () and caplog.records == []
    result = accepting.segmentation(image(WINDOW))
    assert result.warnings == (PROBLEM,)
    np.testing.assert_array_equal(result.labels, model.segmentation(image(CT)).labels)


def test_every_segmentation_bears_the_notices_of_the_model() -> None:
    model = Model(segment, LATERALITY, notices=("not for measuring",), accept_intensities=True)
    assert model.segmentation(image(CT)).warnings == ("not for measuring",)
    assert model.segmentation(image(WINDOW)).warnings == (PROBLEM, "not for measuring")


def test_a_mask_given_as_a_scan_is_refused() -> None:
    with pytest.raises(ValueError, match="expected Hounsfield units as int16, got uint8"):
        Model(segment, LATERALITY).labels(image(np.zeros((3, 3, 3), np.uint8)))
