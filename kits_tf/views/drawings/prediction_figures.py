"""The pictures of masks over their scans, beside the truth if there is one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kits_tf.analysis.case_masks import CaseMasks, read_case, with_prediction
from kits_tf.analysis.mask_files import MaskFolder
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import name_in_errors, require_own, written_whole
from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
from kits_tf.base.progress import track
from kits_tf.config import DicomSettings
from kits_tf.ct.cases import LabeledScan
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.scans import Scan, find_scans
from kits_tf.views.drawings import canvas
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.drawings.montage import animation, montage

# Ends of the names of files.
_FIGURE, _MONTAGE, _GIF = ".png", "_montage.png", ".gif"


@dataclass(frozen=True, kw_only=True)
class FigurePlan:
    """The pictures to draw of each case of a folder of masks.

    Attributes:
        masks: the predicted masks.
        output_dir: folder of the pictures.
        montage: whether axial planes are drawn too.
        gif: whether an animation is made too.
    """

    masks: MaskFolder
    output_dir: Path
    montage: bool = False
    gif: bool = False

    def paths(self, name: str) -> list[Path]:
        """Returns the files of the pictures of a case of this name."""
        endings = [_FIGURE, *[_MONTAGE] * self.montage, *[_GIF] * self.gif]
        return [self.path(name, ending) for ending in endings]

    def path(self, name: str, ending: str) -> Path:
        """Returns the file of a picture of a case of this name."""
        return self.output_dir / f"{name}{ending}"


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Masks to draw.

    Attributes:
        draw: function that draws one: `draw_prediction` or `draw_scan`.
        tasks: its arguments, by name of the pictures.
        plan: kinds of pictures, and the masks.
        failures: what cannot be drawn so far.
    """

    draw: Callable[..., None]
    tasks: dict[str, tuple]
    plan: FigurePlan
    failures: Failures


def drawings_of_scans(scans: Sequence[Scan], dicom: DicomSettings, plan: FigurePlan) -> Drawings:
    """Returns the drawings of the masks of scans of any kind; one that is no scan is a failure."""
    failures = Failures("scan", len(scans))
    for scan in scans:
        if scan.problem:
            failures.note(scan.source, scan.problem)
    tasks = {scan.name: (scan.source, scan.name, dicom, plan) for scan in scans if not scan.problem}
    return Drawings(draw=draw_scan, tasks=tasks, plan=plan, failures=failures)


def draw_all(drawings: Drawings, workers: int) -> set[str]:
    """Draws every mask, on several processes, and returns the names of those that could be drawn.

    Args:
        drawings: what to draw; those that cannot be drawn are added to its failures.
        workers: number of processes, see `run_tasks`.

    Raises:
        InputError: a file is there that is no picture of kits_tf; nothing is drawn then.
    """
    names, done = list(drawings.tasks), set(drawings.tasks)
    require_own(path for name in names for path in drawings.plan.paths(name))
    results = run_tasks(drawings.draw, list(drawings.tasks.values()), workers, start_tensorflow_in_worker)
    for index, result in track(results, "figure", len(names)):
        if isinstance(result, InputError):
            drawings.failures.note(names[index], result)
            done.discard(names[index])
    return done


def draw_prediction(files: CaseFiles, plan: FigurePlan) -> None:
    """Draws the mask of one case.

    Raises:
        InputError: scan or mask cannot be used or drawn.
    """
    _draw(read_case(files, plan.masks), plan)


def draw_scan(source: str, name: str, dicom: DicomSettings, plan: FigurePlan) -> None:
    """Draws the mask of one scan.

    Args:
        source: path of the scan, of any kind.
        name: name of the pictures, and of its mask unless that says that it was made from the scan.
        dicom: settings of DICOM series.
        plan: what to draw, and the masks.

    Raises:
        InputError: scan or mask cannot be used or drawn, or there is no mask of the scan.
    """
    (scan,) = find_scans([source], dicom)
    volume = scan.read().volume
    case = with_prediction(plan.masks.name_for(volume, name, source), LabeledScan(volume, None, None), plan.masks)
    _draw(replace(case, case_id=name), plan)


def _draw(case: CaseMasks, plan: FigurePlan) -> None:
    with canvas.drawing():
        canvas.save(case_figure(case), plan.path(case.case_id, _FIGURE))
        if plan.montage:
            canvas.save(montage(case), plan.path(case.case_id, _MONTAGE))
        if plan.gif:
            path = plan.path(case.case_id, _GIF)
            with name_in_errors(path), written_whole(path) as partial:
                partial.write_bytes(animation(case))
