"""Settings of evaluations and reports."""

from dataclasses import dataclass, field

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings, setting
from kits_tf.config import shared
from kits_tf.config.inference import InferenceSettings


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Settings of an evaluation"""

    run_dir: str | None = setting(None, "Folder of a training run to score; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run to score.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ... to score, of any program.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    truth_dir: str | None = setting(
        None,
        "Folder of true masks with the names of those in --predictions_dir, instead of --data_dir. Labels that they do "
        "not name are the challenge's.",
    )
    compare: str = setting(
        "", "Two evaluations, with a comma between: folders with a cases.csv. Tells how the second one differs."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(map(bool, (self.run_dir, self.predictions_dir, self.compare))) != 1:
            raise InputError("expected one of --run_dir, --predictions_dir and --compare")
        if self.predictions_dir and (self.data_dir is None) == (self.truth_dir is None):
            raise InputError("expected either --data_dir or --truth_dir with --predictions_dir")
        if self.truth_dir and not self.predictions_dir:
            raise InputError("expected --truth_dir with --predictions_dir only")
        if self.inference.postprocess == "auto" and not self.run_dir:
            raise InputError("expected --run_dir with --postprocess=auto")
        if self.compare and self.compare.count(",") != 1:
            raise InputError(f"--compare: expected two folders with a comma between, got {self.compare}")


@dataclass(frozen=True, kw_only=True)
class ReportSettings(Settings):
    """Settings of a report"""

    run_dir: str | None = setting(None, "Folder of a training run; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks of any program, with --data_dir.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    compare: str | None = setting(
        None, "A second run, or with --predictions_dir a second folder of masks, to show beside the first."
    )
    output: str | None = setting(None, "File to write. Default: report.html beside the scores.")
    data_note: str = setting("", "What the scans are, if they are not what they seem: stands at the head of the page.")
    viewer: bool = setting(
        True, "Puts the NiiVue viewer and the scans, thinned, into the page; --noviewer leaves both out."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run_dir is None) == (self.predictions_dir is None):
            raise InputError("expected either --run_dir or --predictions_dir")
        if self.predictions_dir and not self.data_dir:
            raise InputError("expected --data_dir with --predictions_dir")
        if self.compare and self.compare == (self.run_dir or self.predictions_dir):
            raise InputError(f"--compare: expected another folder than {self.compare}")
