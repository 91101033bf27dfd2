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


def test_a_reason_that_several_inputs_have_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures("case", 20)
    with caplog.at_level(logging.INFO, "kits_tf"):
        for number in range(12):
            failures.note(f"case_{number}", InputError(f"/masks/case_{number}.nii: expected labels 0..2, found 0, 255"))
        reason = "/masks/case_0.nii: expected labels 0..2, found 0, 255"
        assert caplog.messages[:2] == [f"failed: {reason}", "failed: case_1, for the same reason as case_0"]
        names = ", ".join(f"case_{number}" for number in range(1, 9))
        same = f"{reason}; the same for {names} and 3 more"
        caplog.clear()
        with pytest.raises(InputError) as error:
            failures.check()
        assert str(error.value) == f"12 of 20 cases failed, the first: {same}" and caplog.messages == []
        failures.note("other", InputError("cut short"))
        caplog.clear()
        with pytest.raises(InputError) as error:
            failures.check(": see docs")
    assert str(error.value) == f"13 of 20 cases failed, the first: {reason}: see docs"
    assert caplog.messages == ["13 of 20 cases failed:", f"  {same}", "  other: cut short"]
