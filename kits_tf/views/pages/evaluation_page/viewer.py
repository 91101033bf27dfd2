"""What the viewer of an evaluation's page reads: layers over each other, their colors, and the files of each case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kits_tf.analysis.evaluation_files import Evaluation
from kits_tf.views.pages.evaluation_page.volumes import ViewerVolumes
from kits_tf.views.pages.niivue import color_map
from kits_tf.views.pages.page import base64_text

_PREDICTION_OPACITY = 0.5


@dataclass(frozen=True)
class Layer:
    """A volume of a case: scan, a prediction or the truth.

    Attributes:
        name: name of its slider.
        label: name for people.
        opacity: opacity at first, 0..1.
        colors: NiiVue's color map of labels; None for the scan.
    """

    name: str
    label: str
    opacity: float
    colors: dict[str, list] | None


def layers(evaluations: Sequence[Evaluation]) -> list[Layer]:
    """Returns scan, predictions and truth, an outline, in the order in which they lie over each other."""
    names = ["prediction"] if len(evaluations) == 1 else [f"{each.name}'s prediction" for each in evaluations]
    predictions = [
        Layer(f"prediction{i}", name, _PREDICTION_OPACITY if i == 0 else 0.0, color_map(each.scheme))
        for i, (name, each) in enumerate(zip(names, evaluations, strict=True))
    ]
    truth = Layer("truth", "truth", 1.0, color_map(evaluations[0].scheme))
    return [Layer("scan", "scan", 1.0, None), *predictions, truth]


def viewer_data(shown: Sequence[Layer], volumes: Mapping[str, ViewerVolumes]) -> dict:
    """Returns what viewer.js reads: the layers; each case's first place, voxel size and files in the layers' order."""
    return {
        "layers": [{"name": layer.name, "colors": layer.colors} for layer in shown],
        "cases": {
            case_id: {
                "voxel_mm": files.voxel_mm,
                "focus_mm": files.focus_mm,
                "files": [base64_text(files.scan), *map(base64_text, files.masks)],
            }
            for case_id, files in volumes.items()
        },
    }
