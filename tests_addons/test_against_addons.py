"""Runs the tests of tests/pipeline/test_addons_golden.py on what tensorflow-addons makes of fresh inputs."""

import numpy as np
import pytest

from tests.pipeline.test_addons_golden import (  # noqa: F401, collected here; our loss needs Keras 3
    Findings,
    test_blur_is_addons_gaussian_filter,
    test_flips_are_addons_transform,
    test_linear_resampling_is_addons_transform,
    test_rotations_are_addons_rotate,
    test_scales_and_what_is_mixed_are_addons_transform,
)
from tests_addons import freeze


@pytest.fixture(scope="module", params=range(5), ids="seed{}".format)
def findings(request: pytest.FixtureRequest) -> Findings:
    return freeze.findings(request.param)


def test_the_stored_findings_are_those_of_seed_0() -> None:
    fresh = freeze.findings(0)
    with np.load(freeze.GOLDEN) as stored:
        assert set(stored.files) == set(fresh)
        for name, found in fresh.items():
            assert stored[name].dtype == found.dtype
            # Other processors may round HU of 1000 otherwise.
            np.testing.assert_allclose(stored[name], found, rtol=1e-6, atol=1e-3, err_msg=name)
