"""The files of cases -> the facts, the picture and the problem of each that an audit reports."""

from collections.abc import Sequence
from dataclasses import dataclass

from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.base.processes import choose_workers, run_in_processes, start_tensorflow_in_worker
from kits_tf.base.progress import track
from kits_tf.ct.case_facts import CaseFacts, case_facts
from kits_tf.ct.cases import read_pair
from kits_tf.ct.findings import Finding
from kits_tf.ct.layouts import CaseFiles


@dataclass(frozen=True)
class CaseAudit:
    """What an audit reports of a case: what it read, or the reason why it could not.

    Attributes:
        facts: facts of the files; None if they could not be read.
        thumbnail: JPEG; None if the files could not be read.
        problem: reason why they could not be read; None if they were.
    """

    facts: CaseFacts | None
    thumbnail: bytes | None
    problem: Finding | None


def examine_all(cases: Sequence[CaseFiles], workers: int) -> dict[str, CaseAudit]:
    """Returns what an audit reports of each case, by its id, in the order of the cases.

    Args:
        cases: files of the cases.
        workers: number of processes; 0: by cores and memory.
    """
    # Never in this process, not even with one worker: a file that kills its process is a finding.
    processes = choose_workers(workers, len(cases))
    results = run_in_processes(examine, [(files,) for files in cases], processes, start_tensorflow_in_worker)
    examined = {}
    for index, result in track(results, "case", len(cases)):
        case_id = cases[index].case_id
        if isinstance(result, InputError):  # its process died
            problem = Finding(severity="error", code="unreadable", case_id=case_id, message=str(result))
            result = CaseAudit(facts=None, thumbnail=None, problem=problem)
        examined[case_id] = result
    return {case.case_id: examined[case.case_id] for case in cases}


def examine(files: CaseFiles) -> CaseAudit:
    """Returns facts and thumbnail of a case; files that cannot be used are a finding rather than an exception."""
    # Here, since it imports TensorFlow, which takes seconds: a process that only hands out cases never does.
    from kits_tf.views.drawings.thumbnail import thumbnail

    try:
        image, mask = read_pair(files)
    except InputError as error:
        code = "grid_mismatch" if isinstance(error, GridMismatchError) else "unreadable"
        problem = Finding(severity="error", code=code, case_id=files.case_id, message=str(error))
        return CaseAudit(facts=None, thumbnail=None, problem=problem)
    return CaseAudit(facts=case_facts(image, mask), thumbnail=thumbnail(image, mask), problem=None)
