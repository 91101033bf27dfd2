"""NiiVue, the viewer, as a module of JavaScript out of the installed ipyniivue package: no network, no copy of ours.

ipyniivue's widget is one module that holds all of NiiVue and exports the widget alone; here it exports NiiVue's class.
"""

import importlib.util
import re
from pathlib import Path

from kits_tf.base.errors import InputError

# ipyniivue 2: where the widget makes a viewer, `... = new CLASS(options)`, and what the module exports.
_CLASS = re.compile(r'"Creating new Niivue instance".{0,200}?=new (\w+)\(', re.DOTALL)
_EXPORT = re.compile(r"export\{[^{}]*\};?\s*$")
# How radiologists expect scans to look, on all our pages; nothing is read by dropping it on the canvas.
_LOOK = """export const LOOK = {
  isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: 1, multiplanarLayout: 2,
  backColor: [0, 0, 0, 1], crosshairColor: [1, 1, 1, 0.6], crosshairWidth: 0.5, show3Dcrosshair: true,
  dragAndDropEnabled: false, logLevel: "silent",
};
"""


def niivue_module() -> str:
    """Returns the source of a module that exports the class `Niivue`, and `LOOK`, options to make one.

    Raises:
        InputError: ipyniivue is not installed, or is another one than is known here.
    """
    found = importlib.util.find_spec("ipyniivue")  # importing it would bring all of Jupyter
    widget = Path(str(found and found.origin)).parent / "static" / "widget.js"
    source = widget.read_text(encoding="utf-8") if widget.exists() else ""
    named, export = _CLASS.search(source), _EXPORT.search(source)
    if named is None or export is None:
        raise InputError(
            "expected ipyniivue 2 with NiiVue in it, found another one: pip install 'kits_tf[report]', or --noviewer"
        )
    return f"{source[: export.start()]}export{{{named[1]} as Niivue}};\n{_LOOK}"
