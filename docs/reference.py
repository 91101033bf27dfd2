"""Writes docs/api.md's reference, docs/commands.md and docs/flags.md out of the code: make reference."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import kits_tf
from kits_tf.__main__ import GROUPS
from kits_tf.base.command import all_commands

HERE = Path(__file__).parent
MARK = "<!-- What follows is made by make reference. -->\n"


def api_reference() -> str:
    """Returns signature and docstring of every public name; of classes those of their public methods too."""
    parts = []
    for name in kits_tf._HOMES:
        thing = getattr(kits_tf, name)
        parts.append(_entry(name, thing))
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            members = {key: member for key, member in vars(thing).items() if not key.startswith("_")}
            parts += [_entry(f"{name}.{key}", member, 4) for key, member in members.items() if _is_described(member)]
    return "\n".join(parts)


def commands_page() -> str:
    """Returns a table of all commands, by what they are for."""
    parts = [
        "# Commands",
        "",
        "`python -m kits_tf.COMMAND` or `kits-tf COMMAND`; [flags](flags.md) lists the flags of each.",
        "",
    ]
    for group, names in GROUPS.items():
        parts += [f"## {group}", "", "| | |", "|---|---|"]
        parts += [f"| [`{name}`](flags.md#{name}) | {all_commands()[name].summary} |" for name in names]
        parts.append("")
    return "\n".join(parts)


def flags_page() -> str:
    """Returns what --help of every command prints."""
    parts = [
        "# Flags",
        "",
        "This is the output of `--help` of each command; every command accepts every flag file.",
        "",
    ]
    for name, command in all_commands().items():
        text = "\n".join(f"    {line}".rstrip() for line in command.help_text().split("\n"))
        parts += [f"## {name}", "", text, ""]
    return "\n".join(parts)


def _is_described(member: object) -> bool:
    """Returns whether a member of a class is a method or a property with a docstring, rather than a default value."""
    is_method = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
    return is_method and bool(inspect.getdoc(member))


def _entry(name: str, thing: object, level: int = 3) -> str:
    """Returns heading, parameters and docstring; types stand in the docstring, as they are written for people."""
    function = getattr(thing, "__func__", thing)
    has_parameters = callable(function) and not (inspect.isclass(function) and issubclass(function, Exception))
    signature = f"({', '.join(_parameters(function))})" if has_parameters else ""
    return f"{'#' * level} {name}\n\n`{name}{signature}`\n\n{_indented(inspect.getdoc(function) or '')}\n"


def _parameters(function: Callable) -> Iterator[str]:
    marks = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in ("self", "cls"):
            default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
            yield f"{marks.get(parameter.kind, '')}{parameter.name}{default}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def main() -> None:
    """Writes the files, the API's below its mark."""
    api = HERE / "api.md"
    written, _, _ = api.read_text().partition(MARK)
    api.write_text(f"{written}{MARK}\n{api_reference()}")
    (HERE / "commands.md").write_text(commands_page())
    (HERE / "flags.md").write_text(flags_page())


if __name__ == "__main__":
    main()
