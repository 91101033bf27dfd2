"""The files that the page is made of: those of this folder, the theme of all pages, and NiiVue out of its package."""

import functools
from importlib import resources

from kits_tf.views.pages.niivue import niivue_module
from kits_tf.views.pages.page import read_template
from kits_tf.webapp.studies import RefusedError

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_NIIVUE = "niivue.js"
_THEME = "theme.css"


@functools.cache
def file(name: str) -> tuple[bytes, str]:
    """Returns a file of the page, and what kind it is of.

    Raises:
        RefusedError: the page has no such file.
        InputError: NiiVue is not installed.
    """
    kind = _KINDS.get(name.rpartition(".")[2])
    if name == _NIIVUE:
        return niivue_module().encode(), _KINDS["js"]
    if name == _THEME:
        return read_template(_THEME).encode(), _KINDS["css"]
    own = resources.files(__name__)
    if kind is None or name not in {each.name for each in own.iterdir()}:
        raise RefusedError(404, "there is no such file")
    return (own / name).read_bytes(), kind
