import threading
from pathlib import Path

import pytest

from kits_tf.config import DicomSettings
from kits_tf.webapp.studies import CancelledError, RefusedError, Sessions, State, Study
from kits_tf.webapp.worker import Worker


def test_sessions_are_forgotten_with_their_files_when_nobody_uses_them(tmp_path: Path) -> None:
    now = [0.0]
    sessions = Sessions(tmp_path, max_studies=2, keep_s=10.0, clock=lambda: now[0])
    idle, used, busy = (sessions.new() for _ in range(3))
    studies = {session: session.add("scan") for session in (idle, used, busy)}
    studies[busy].state = State.SEGMENTING
    now[0] = 8.0
    assert sessions.find(used.token) is used and sessions.remove_unused() == 0
    now[0] = 11.0
    assert sessions.remove_unused() == 1
    assert sessions.find(idle.token) is None and not studies[idle].folder.exists()
    assert sessions.find(used.token) is used and studies[used].folder.exists()
    assert sessions.find(busy.token) is busy and studies[busy].folder.exists()
    sessions.close()
    assert list(tmp_path.iterdir()) == []


def test_a_session_has_its_own_studies_and_no_more_than_it_may(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, max_studies=2, keep_s=10.0)
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


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Sessions(tmp_path, max_studies=1, keep_s=1.0).new().add("scan")


def test_a_final_state_stays(study: Study) -> None:
    study.advance(State.DONE)
    study.cancel()
    study.fail("too late")
    study.offer((("1", "arterial"),))
    study.refuse("an MR?")
    assert (study.state, study.message, study.choices) == (State.DONE, "", ())


def test_a_cancelled_study_does_not_go_on(study: Study) -> None:
    study.enqueue()
    study.cancel()
    with pytest.raises(CancelledError):
        study.advance(State.READING)
    study.fail("its files are gone")
    study.offer((("1", "arterial"),))
    assert (study.state, study.message, study.choices) == (State.CANCELLED, "", ())


def test_a_study_is_submitted_once_and_again_with_its_series(study: Study) -> None:
    worker = Worker(DicomSettings())
    worker.submit(study)
    with pytest.raises(RefusedError, match="the scan is being segmented already") as refused:
        worker.submit(study)
    assert refused.value.status == 409 and worker.place_of(study) == 0
    study.advance(State.READING)
    study.offer((("1.2.3", "arterial"), ("4.5.6", "venous")))
    assert study.state is State.CHOOSING and study.waits_for_user
    study.enqueue("4.5.6")
    assert (study.state, study.series) == (State.QUEUED, "4.5.6")
    study.advance(State.READING)
    study.refuse("an MR?")
    assert (study.state, study.message) == (State.REFUSED, "an MR?") and study.waits_for_user
    study.enqueue(accepts_intensities=True)
    assert (study.state, study.message, study.series) == (State.QUEUED, "", "4.5.6") and study.accepts_intensities


class WatchedStudy(Study):
    """Lets another thread try to cancel it between the check of its state and the change."""

    canceller: threading.Thread | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name == "state" and value is State.SEGMENTING:
            self.canceller = threading.Thread(target=self.cancel)
            self.canceller.start()
            self.canceller.join(0.2)
        super().__setattr__(name, value)


def test_a_request_cannot_change_the_state_while_the_worker_does(tmp_path: Path) -> None:
    """Without the lock the worker would overwrite CANCELLED, and segment what nobody needs."""
    study = WatchedStudy(key="key", name="scan", folder=tmp_path)
    study.enqueue()
    study.advance(State.READING)
    study.advance(State.SEGMENTING)
    study.canceller.join()
    assert study.state is State.CANCELLED


def test_scans_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    session = Sessions(tmp_path, max_studies=9, keep_s=10.0).new()
    names = [session.add(name).name for name in ("imaging", "imaging", "imaging_2", "imaging", "", "")]
    assert names == ["imaging", "imaging_2", "imaging_2_2", "imaging_3", "", ""]
