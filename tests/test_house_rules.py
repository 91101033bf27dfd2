"""What CONTRIBUTING.md asks of every room, as far as a program can see it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import ROOMS

ROOT = Path(__file__).parent.parent
PLACES = {"commands": sorted((ROOT / "kits_tf").glob("*.py")), "tools": sorted((ROOT / "tfrecords_tools").glob("*.py"))}
PLACES |= {room: sorted((ROOT / "kits_tf" / room).glob("**/*.py")) for room in ROOMS}
MOST_PARAMETERS = 5
MOST_LINES = 60
# Words that a newcomer would have to learn from us.
DIALECT = {"found", "told", "tell", "tells", "made_of", "looks", "wished", "wanted", "likewise", "evaluated", "many"}
PHRASES = re.compile(r"likewise|as there\b|what follows too|see there|how-manieth|\bsooner\b|\btold\b|as it takes it")
PREPOSITIONS = [
    "of",
    "that",
    "as",
    "in",
    "for",
    "by",
    "to",
    "from",
    "with",
    "on",
    "at",
    "over",
    "under",
    "where",
    "which",
    "whose",
    "who",
]
# Layers and losses have as many parameters as their formula, all with defaults.
KERAS = {"kits_tf/network"}

place = pytest.mark.parametrize("place", PLACES)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def label(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@place
def test_functions_are_short_and_have_few_parameters(place: str) -> None:
    wrong = []
    for path in PLACES[place]:
        for node in functions(path):
            parameters = [a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
            count = len(parameters) - (parameters[:1] in (["self"], ["cls"]))
            is_layer = node.name == "__init__" and any(part in str(path) for part in KERAS)
            if count > MOST_PARAMETERS and not is_layer:
                wrong.append(f"{label(path, node)}: {node.name} has {count} parameters")
            if (node.end_lineno or 0) - node.lineno >= MOST_LINES:
                wrong.append(f"{label(path, node)}: {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines")
    assert not wrong, "\n".join(wrong)


@place
def test_names_are_of_the_field(place: str) -> None:
    wrong = []
    for path in PLACES[place]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = {getattr(node, key, None) for key in ("id", "arg", "name", "attr")} & DIALECT
            wrong += [f"{label(path, node)}: {name}" for name in names]
    assert not wrong, "\n".join(wrong)


@place
def test_each_argument_is_explained_by_what_it_is(place: str) -> None:
    wrong = []
    line = re.compile(rf"^ +\*{{0,2}}\w+: ({'|'.join(PREPOSITIONS)})\b", re.IGNORECASE)
    for path in PLACES[place]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                continue
            text = ast.get_docstring(node) or ""
            wrong += [f"{label(path, node)}: {part.strip()}" for part in text.split("\n") if line.match(part)]
            wrong += [f"{label(path, node)}: {part[0]}" for part in PHRASES.finditer(text)]
    assert not wrong, "\n".join(wrong)


@place
def test_the_library_logs_and_commands_print(place: str) -> None:
    wrong = []
    for path in PLACES[place] if place not in ("commands", "tools") else []:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                wrong.append(label(path, node))
    assert not [line for line in wrong if "base/command.py" not in line], "\n".join(wrong)
