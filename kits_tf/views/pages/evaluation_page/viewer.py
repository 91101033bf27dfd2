"""What the viewer of a report is given: layers over each other, their colors, and the files of each case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kits_tf.analysis.evaluated import Evaluated
from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style
from kits_tf.views.pages.evaluation_page.volumes import ViewerVolumes
from kits_tf.views.pages.page import base64_text

_PREDICTION_OPACITY = 0.5


@dataclass(frozen=True)
class Layer:
    """A volume of a case.

    Attributes:
        name: of its slider.
        label: what it is, for people.
        opacity: at first.
        colors: NiiVue's color map of labels; None for the scan.
    """

    name: str
    label: str
    opacity: float
    colors: dict | None


def layers(evaluations: Sequence[Evaluated]) -> list[Layer]:
    """Returns scan, truth and predictions in the order in which they lie over each other."""
    names = ["prediction"] if len(evaluations) == 1 else [f"{each.name}'s prediction" for each in evaluations]
    predictions = [
        Layer(f"prediction{i}", name, _PREDICTION_OPACITY if i == 0 else 0.0, label_colors(each.scheme))
        for i, (name, each) in enumerate(zip(names, evaluations, strict=True))
    ]
    return [
        Layer("scan", "scan", 1.0, None),
        Layer("truth", "truth", 0.0, label_colors(evaluations[0].scheme)),
        *predictions,
    ]


def viewer_data(shown: Sequence[Layer], volumes: Mapping[str, ViewerVolumes]) -> dict:
    """Returns what viewer.js reads: layers, and by case where to look, voxel size and files in the order of layers."""
    return {
        "layers": [{"name": layer.name, "colors": layer.colors} for layer in shown],
        "cases": {
            case_id: {
                "voxel_mm": of_case.voxel_mm,
                "focus_mm": of_case.focus_mm,
                "files": [base64_text(of_case.scan), *map(base64_text, of_case.masks)],
            }
            for case_id, of_case in volumes.items()
        },
    }


def label_colors(scheme: Scheme) -> dict:
    """Returns a scheme's colors as NiiVue's color map of labels; background is transparent."""
    names = scheme.classes[1:]
    colors = [(0, 0, 0), *(tuple(round(255 * part) for part in style.rgb(name)) for name in names)]
    channels = {channel: [color[i] for color in colors] for i, channel in enumerate("RGB")}
    opacities = [0, *[255] * len(names)]
    return channels | {"A": opacities, "I": list(range(len(colors))), "labels": ["", *map(style.words, names)]}
