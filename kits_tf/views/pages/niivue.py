"""NiiVue, the viewer of scans: its module out of the installed ipyniivue package, its options, its color maps.

No network is needed, and no copy of NiiVue lies in this repository. ipyniivue's widget is one JavaScript module that
holds all of NiiVue and exports the widget alone; here it exports NiiVue's class instead, by changing its last line.
Tried with ipyniivue 2.4.4; setup.py asks for 2.4 to below 3.
"""

import importlib.util
import re
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.words import structure_text
from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style

# Where the widget makes a viewer, `... = new CLASS(options)`, and the statement of what the module exports.
_CLASS = re.compile(r'"Creating new Niivue instance".{0,200}?=new (\w+)\(', re.DOTALL)
_EXPORT = re.compile(r"export\{[^{}]*\};?\s*$")
# Scans lie as radiologists expect them, on all our pages; dropping a file on the canvas does not read it.
_OPTIONS = """export const OPTIONS = {
  isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: 1, multiplanarLayout: 2,
  multiplanarPadPixels: 8, showAllOrientationMarkers: true, fontColor: [1, 1, 1, 0.9], backColor: [0, 0, 0, 1],
  crosshairColor: [1, 1, 1, 0.6], crosshairWidth: 0.5, crosshairWidthUnit: "mm",
  show3Dcrosshair: true, dragAndDropEnabled: false, logLevel: "silent",
};
"""


def niivue_module() -> str:
    """Returns the source of a module that exports the class `Niivue`, and `OPTIONS`, arguments for its constructor.

    Raises:
        InputError: ipyniivue is not installed, or is a version whose widget is built in another way.
    """
    package = importlib.util.find_spec("ipyniivue")  # importing it would bring all of Jupyter
    widget = Path(str(package and package.origin)).parent / "static" / "widget.js"
    source = widget.read_text(encoding="utf-8") if widget.exists() else ""
    viewer, export = _CLASS.search(source), _EXPORT.search(source)
    if viewer is None or export is None:
        raise InputError(
            "expected ipyniivue 2 with NiiVue in it, got another one: pip install 'kits_tf[report]', or --noviewer"
        )
    return f"{source[: export.start()]}export{{{viewer[1]} as Niivue}};\n{_OPTIONS}"


def color_map(scheme: Scheme) -> dict[str, list]:
    """Returns a scheme's colors as NiiVue's color map of labels; background is transparent.

    Returns:
        R, G, B and A, 0..255, of each label in I; words for each in "labels".
    """
    names = scheme.classes[1:]
    colors = [(0, 0, 0), *(tuple(round(255 * part) for part in style.rgb(name)) for name in names)]
    channels = {channel: [color[i] for color in colors] for i, channel in enumerate("RGB")}
    opacities = [0, *[255] * len(names)]
    return channels | {"A": opacities, "I": list(range(len(colors))), "labels": ["", *map(structure_text, names)]}
