from pathlib import Path

import pytest

from kits_tf.webapp.studies import RefusedError, Sessions, State


def test_sessions_are_forgotten_with_their_files_when_nobody_uses_them(tmp_path: Path) -> None:
    now = [0.0]
    sessions = Sessions(tmp_path, most=2, keep_s=10.0, clock=lambda: now[0])
    idle, used, busy = (sessions.new() for _ in range(3))
    studies = {session: session.add("scan") for session in (idle, used, busy)}
    studies[busy].state = State.SEGMENTING
    now[0] = 8.0
    assert sessions.find(used.token) is used and sessions.forget_unused() == 0
    now[0] = 11.0
    assert sessions.forget_unused() == 1
    assert sessions.find(idle.token) is None and not studies[idle].folder.exists()
    assert sessions.find(used.token) is used and studies[used].folder.exists()
    assert sessions.find(busy.token) is busy and studies[busy].folder.exists()
    sessions.close()
    assert list(tmp_path.iterdir()) == []


def test_a_session_has_its_own_studies_and_no_more_than_it_may(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, most=2, keep_s=10.0)
    mine, other = sessions.new(), sessions.new()
    first, second = mine.add("first"), mine.add("second")
    assert mine.studies == [first, second] and other.studies == []
    with pytest.raises(RefusedError, match="expected 2 scans at most") as refused:
        mine.add("third")
    assert refused.value.status == 429
    with pytest.raises(RefusedError, match="there is no such scan") as refused:
        other.find(first.key)
    assert refused.value.status == 404
    mine.remove(first.key)
    assert mine.studies == [second] and not first.folder.exists() and first.state is State.CANCELLED
    assert mine.token not in str(second.folder) and second.folder.parent.stat().st_mode & 0o077 == 0


def test_what_is_over_is_not_cancelled(tmp_path: Path) -> None:
    study = Sessions(tmp_path, most=1, keep_s=1.0).new().add("scan")
    study.state = State.DONE
    study.cancel()
    assert study.state is State.DONE
