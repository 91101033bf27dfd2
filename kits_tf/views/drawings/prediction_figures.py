"""The pictures of one mask of a folder, over its scan, beside the truth if there is one."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.analysis.case_masks import CaseMasks, read_case, with_prediction
from kits_tf.analysis.mask_files import MaskFolder
from kits_tf.base.files import name_in_errors, written_whole
from kits_tf.config import DicomSettings
from kits_tf.ct.cases import LabeledScan
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.scans import find_scans
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
    montage: bool
    gif: bool

    def paths(self, name: str) -> list[Path]:
        """Returns the files of the pictures of a case of this name."""
        endings = [_FIGURE, *[_MONTAGE] * self.montage, *[_GIF] * self.gif]
        return [self.path(name, ending) for ending in endings]

    def path(self, name: str, ending: str) -> Path:
        """Returns the file of a picture of a case of this name."""
        return self.output_dir / f"{name}{ending}"


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
        name: name of its mask.
        dicom: settings of DICOM series.
        plan: what to draw, and the masks.

    Raises:
        InputError: scan or mask cannot be used or drawn, or the mask was made from another scan.
    """
    (scan,) = find_scans([source], dicom)
    volume = scan.read().volume
    if name in plan.masks.masks:
        plan.masks.masks[name].check_made_from(volume, source)
    _draw(with_prediction(name, LabeledScan(volume, None, None), plan.masks), plan)


def _draw(case: CaseMasks, plan: FigurePlan) -> None:
    with canvas.drawing():
        canvas.save(case_figure(case), plan.path(case.case_id, _FIGURE))
        if plan.montage:
            canvas.save(montage(case), plan.path(case.case_id, _MONTAGE))
        if plan.gif:
            path = plan.path(case.case_id, _GIF)
            with name_in_errors(path), written_whole(path) as partial:
                partial.write_bytes(animation(case))
