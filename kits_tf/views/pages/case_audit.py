"""One case's files -> the facts, the picture and the problem that an audit reports."""

from dataclasses import dataclass

from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.ct.case_facts import CaseFacts, case_facts
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


def examine(files: CaseFiles) -> CaseAudit:
    """Returns facts and thumbnail of a case; files that cannot be used are a finding rather than an exception."""
    # TensorFlow takes seconds to import: only where cases are read.
    from kits_tf.ct.cases import read_pair
    from kits_tf.views.drawings.thumbnail import thumbnail

    try:
        image, mask = read_pair(files)
    except InputError as error:
        code = "grid_mismatch" if isinstance(error, GridMismatchError) else "unreadable"
        problem = Finding(severity="error", code=code, case_id=files.case_id, message=str(error))
        return CaseAudit(facts=None, thumbnail=None, problem=problem)
    return CaseAudit(facts=case_facts(image, mask), thumbnail=thumbnail(image, mask), problem=None)
