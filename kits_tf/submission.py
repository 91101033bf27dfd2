"""python -m kits_tf.submission: masks -> KiTS19's predictions.zip, and whether one is in order."""

import logging
from dataclasses import dataclass, field

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import require_own
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, setting
from kits_tf.base.words import count_text
from kits_tf.config import MaskSchemeSettings

logger = logging.getLogger(__name__)

# KiTS19's scans are of people with a tumor: a submission without one was read or made wrongly.
_NO_TUMOR = "%s: none of its masks has a tumor; are the labels right?"


@dataclass(frozen=True, kw_only=True)
class Submission(Settings):
    """Makes KiTS19's predictions.zip from a folder of masks, or checks one."""

    predictions_dir: str | None = setting(None, "Folder of masks case_00210.nii.gz, ... to pack; with --output.")
    output: str | None = setting(None, "Zip file to write, with prediction_00210.nii.gz, ...", is_path=True)
    check: str | None = setting(None, "Zip file to check; with --data_dir.", is_path=True)
    data_dir: str | None = setting(
        None,
        "Folder of the scans. Masks are expected for all scans without a true mask, or, if there are none, for all "
        "scans. With --predictions_dir the masks are checked against the scans before they are packed.",
    )
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (self.check is None):
            raise InputError("expected either --predictions_dir or --check")
        if (self.predictions_dir is None) != (self.output is None):
            raise InputError("expected --predictions_dir and --output together")
        if self.check is not None and self.data_dir is None:
            raise InputError("expected --data_dir with --check")


def main(settings: Submission) -> None:
    """Packs a folder of masks, or checks a zip file and says what is wrong with it.

    Raises:
        InputError: a mask cannot be used, or the zip file is not in order.
    """
    if settings.check:
        _check(settings.check, settings.data_dir or "")
        return
    from kits_tf.analysis.challenge import MEMBER_MARK, cases_due, check_cases, masks_of_cases, write_submission
    from kits_tf.analysis.mask_files import label_note
    from kits_tf.ct.layouts import find_cases

    output = settings.output or ""
    require_own([output], MEMBER_MARK)
    masks = masks_of_cases(settings.predictions_dir or "", settings.masks)
    if settings.data_dir:
        check_cases(masks, cases_due(find_cases(settings.data_dir)))
    num_with_tumor = write_submission(track(masks, "mask", len(masks)), output)
    print(label_note(masks))
    if not num_with_tumor:
        logger.warning(_NO_TUMOR, output)
    print(f"wrote {output}: {count_text(len(masks), 'mask')}, {num_with_tumor} with a tumor")
    print(f"--check={output} --data_dir=DATA checks it")


def _check(submission: str, data_dir: str) -> None:
    from kits_tf.analysis.challenge import cases_due, check_prediction, open_submission, unexpected_members
    from kits_tf.ct.layouts import find_cases

    cases = cases_due(find_cases(data_dir))
    with open_submission(submission) as archive:
        problems = unexpected_members(archive, cases)
        checks = [check_prediction(archive, case) for case in track(cases, "case", len(cases))]
    problems += [problem for check in checks for problem in check.problems]
    if not any(check.has_tumor for check in checks):
        logger.warning(_NO_TUMOR, submission)
    if problems:
        print("\n".join(problems))
        raise InputError(f"{submission}: {count_text(len(problems), 'problem')}, the first: {problems[0]}")
    print(f"{submission}: {count_text(len(cases), 'prediction')}, no problem found")


COMMAND = Command(name="submission", settings=Submission, main=main)

if __name__ == "__main__":
    COMMAND.run()
