"""python -m kits_tf.submission: masks -> KiTS19's predictions.zip, and whether one is in order."""

from dataclasses import dataclass

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, setting
from kits_tf.config import shared


@dataclass(frozen=True, kw_only=True)
class Submission(Settings):
    """Makes KiTS19's predictions.zip of a folder of masks, or checks one."""

    predictions_dir: str | None = setting(None, "Folder of masks case_00210.nii.gz, ... to pack; with --output.")
    output: str | None = setting(None, "Zip file to write, with prediction_00210.nii.gz, ...", is_path=True)
    check: str | None = setting(None, "Zip file to check; with --data_dir.", is_path=True)
    data_dir: str | None = setting(None, "Folder of the scans: every one without a true mask, else every one, is due.")
    label_scheme: str = shared.fallback_scheme()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (self.check is None):
            raise InputError("expected either --predictions_dir or --check")
        if (self.predictions_dir is None) != (self.output is None):
            raise InputError("expected --output with --predictions_dir, and not without")
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
    from kits_tf.analysis.challenge import masks_of_cases, write_submission
    from kits_tf.ct.labels import find_scheme

    masks, output = masks_of_cases(settings.predictions_dir or ""), settings.output or ""
    write_submission(track(masks, "mask", len(masks)), output, find_scheme(settings.label_scheme))
    print(f"wrote {output}; --check={output} --data_dir=DATA checks it")


def _check(submission: str, data_dir: str) -> None:
    from kits_tf.analysis.challenge import cases_due, open_submission, problems_of_prediction, unexpected_members
    from kits_tf.ct.layouts import find_cases

    cases = cases_due(find_cases(data_dir))
    with open_submission(submission) as archive:
        problems = unexpected_members(archive, cases)
        for case in track(cases, "case", len(cases)):
            problems += problems_of_prediction(archive, case)
    if problems:
        print("\n".join(problems))
        raise InputError(f"{submission}: {len(problems)} problems, the first: {problems[0]}")
    print(f"{submission}: {len(cases)} predictions, in order")


COMMAND = Command(name="submission", settings=Submission, main=main)

if __name__ == "__main__":
    COMMAND.run()
