"""Failures: one bad input never costs the others, and none is forgotten."""

import logging

import pytest

from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures


def test_no_failure_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kits_tf"):
        Failures("scan", 3).check()
    assert caplog.messages == []


def test_a_single_input_has_its_own_error_and_no_list(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures("scan", 1)
    failures.note("a.nii", InputError("expected HU"))
    with pytest.raises(InputError, match=r"^a\.nii: expected HU$"):
        failures.check()
    assert caplog.messages == []


def test_all_failures_are_listed_at_the_end_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures("scan", 5)
    with caplog.at_level(logging.INFO, "kits_tf"):
        failures.note("a.nii", InputError("a.nii: cut\n short"))
        failures.note("b", OSError())
        assert len(failures) == 2 and caplog.messages == ["failed: a.nii: cut short", "failed: b: OSError"]
        with pytest.raises(InputError, match=r"^2 of 5 scans failed, the first: a\.nii: cut short$"):
            failures.check()
    assert caplog.messages[2:] == ["2 of 5 scans failed:", "  a.nii: cut short", "  b: OSError"]
