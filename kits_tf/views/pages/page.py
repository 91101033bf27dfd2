"""Pages: one HTML file each, made from a template in templates/, that opens from disk without a network."""

import base64
import functools
import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kits_tf.base.files import MADE_BY
from kits_tf.base.words import structure_text
from kits_tf.views.drawings import style


def render(template: str, **values: Any) -> str:
    """Returns a page.

    Args:
        template: name of a file in templates/.
        **values: values of the template's names; text in them is escaped.
    """
    return _environment().get_template(template).render(values)


def read_template(name: str) -> str:
    """Returns the text of a file in templates/ as it is."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def data_url(content: bytes, kind: str) -> str:
    """Returns an address that holds a file itself, as for src.

    Args:
        content: content of the file.
        kind: media type, as in "image/jpeg".
    """
    return f"data:{kind};base64,{base64_text(content)}"


def base64_text(content: bytes) -> str:
    """Returns bytes in base64, as a text."""
    return base64.b64encode(content).decode()


def script_json(value: Any) -> Markup:
    """Returns JSON for a script element of type application/json: nothing in it ends the element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kits_tf.views.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "colors": style.COLORS | style.ERROR_COLORS,
        "errors": list(style.ERROR_COLORS),
        "made_by": MADE_BY,
        "words": structure_text,
    }
    environment.filters |= {"script_json": script_json}
    return environment
