from pathlib import Path

import numpy as np
import pytest
from conftest import affine_of

import kits_tf
from kits_tf.base.errors import UnavailableError
from kits_tf.ct.hounsfield import IntensityError
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme
from kits_tf.ct.volume import Volume
from kits_tf.inference import model as inference
from kits_tf.library.options import parameters_named


def two_kidneys() -> Volume:
    """A scan, stored as R, A, S, of air, fat and two kidneys of 40 HU."""
    hu = np.full((40, 30, 20), -100, np.int16)
    hu[:3] = hu[-3:] = -1000
    hu[6:12, 10:20, 5:15] = hu[28:34, 10:20, 5:15] = 40
    return Volume.from_stored(hu, affine_of("RAS"))


def model_of(scheme: Scheme, **fields: object) -> kits_tf.Model:
    """A model that marks what has over 0 HU, and is sure of it."""

    def segment(hu: np.ndarray, affine: np.ndarray) -> inference.Segmentation:
        confidence = np.linspace(1, 0.5, len(scheme.classes), dtype=np.float32)
        labels = (hu > 0).astype(np.uint8)
        return inference.Segmentation(labels=labels, volumes_ml=np.zeros(len(scheme.classes)), confidence=confidence)

    return kits_tf.Model(network=inference.Model(segment, scheme, **fields))


@pytest.mark.parametrize("scheme", [KITS19, LATERALITY])
def test_sides_come_from_geometry_where_the_model_does_not_know_them(scheme: Scheme) -> None:
    scan = two_kidneys()
    mask = model_of(scheme, accept_intensities=True).segment(scan)
    expected = (scan.array > 0).astype(np.uint8)
    if scheme == KITS19:
        expected[expected > 0] = 1 + (np.argwhere(expected)[:, 2] >= 20)  # here x runs to the left
    np.testing.assert_array_equal(mask.labels, expected)
    assert mask.scheme == LATERALITY and mask.scan is scan
    by_class = dict(zip(scheme.classes, np.linspace(1, 0.5, len(scheme.classes)), strict=True))
    assert mask.confidence == pytest.approx(by_class)


def test_masks_have_the_identity_and_the_warnings_of_their_model() -> None:
    model = model_of(KITS19, identity="kits sha256:0123", notices=("for phantoms only",), accept_intensities=True)
    assert model.warnings == ("for phantoms only",) and model.scheme == KITS19
    text = "Model(kits sha256:0123: background, kidney, tumor; WARNING: for phantoms only)"
    assert repr(model) == str(model) == text
    mask = model.segment(two_kidneys())
    assert mask.model == "kits sha256:0123 --labels=laterality"  # as predict writes it
    assert mask.warnings[-1] == "for phantoms only" and "for phantoms only" in repr(mask)
    long = model_of(KITS19, identity="name " * 100, notices=("a warning of several words " * 30,))
    assert len(repr(long)) < 300 and "\n" not in repr(long)


def test_other_intensities_are_refused_as_by_the_network() -> None:
    window = Volume.from_stored(np.clip(two_kidneys().as_stored(), -79, 304), affine_of("RAS"))
    with pytest.raises(IntensityError, match="expected Hounsfield units"):
        model_of(KITS19).segment(window)


def test_settings_that_are_none_are_refused(run_dir: Path) -> None:
    with pytest.raises(kits_tf.InputError, match=r"expected settings of .*overlap, .*, got overlaps"):
        kits_tf.load_model(run_dir, overlaps=0.5)
    with pytest.raises(kits_tf.InputError, match=r"expected settings of .*model_version.*, got versions"):
        kits_tf.connect("localhost:1", versions=3)
    with pytest.raises(UnavailableError, match="localhost:1"):
        kits_tf.connect("localhost:1", attempts=1)
    with pytest.raises(kits_tf.InputError, match="^attempts: expected 1 or more, got 0"):
        kits_tf.connect("localhost:1", attempts=0)


def test_errors_name_parameters_where_commands_name_flags() -> None:
    message = "a--b: UNAUTHENTICATED: expected the token of this server (--token_file names the file), or --tls=on"
    with pytest.raises(UnavailableError) as caught, parameters_named():
        raise UnavailableError(message)
    expected = "a--b: UNAUTHENTICATED: expected the token of this server (token_file names the file), or tls=on"
    assert str(caught.value) == expected
