"""The house has an order: a room imports only rooms that stand before it, and nothing imports a command."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ["errors", "settings", "config", "commandline", "runtime"]
ORDER += ["ct", "pipeline", "network", "training", "inference", "analysis", "views", "serving", "webapp", "api"]
COMMANDS = {"phantom", "audit", "convert", "restore", "summary", "train", "evaluate", "predict", "export", "figures"}
COMMANDS |= {"submission", "measure", "serve", "client", "app", "report", "demo"}
MODULES = sorted([*ROOT.glob("kits_tf/**/*.py"), *ROOT.glob("tfrecords_tools/**/*.py")])


def imported_modules(path: Path) -> set[str]:
    """Returns the full names of all modules and names a file imports, at its top or within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(module: str) -> str:
    """Returns "ct" for "kits_tf.ct.volume.Volume"; "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__version__" else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_what_stands_before(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts
    used = imported_modules(path)
    if own[0] == "tfrecords_tools":
        forbidden = ("kits_tf", "keras", "nibabel")
        assert not [name for name in used if name.split(".")[0] in forbidden]
        return
    rooms = {room(name) for name in used if name.split(".")[0] == "kits_tf"} - {""}
    here = own[1] if len(own) > 1 else ""
    if here in COMMANDS:
        assert rooms <= set(ORDER) | (COMMANDS if here == "demo" else set())
    elif here != "__init__":
        assert here in ORDER, f"{here} has no place in the order"
        assert {ORDER.index(name) for name in rooms - COMMANDS} <= set(range(ORDER.index(here) + 1))
        assert not rooms & COMMANDS


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_volume_knows_nibabel(path: Path) -> None:
    uses = any(name.split(".")[0] == "nibabel" for name in imported_modules(path))
    assert uses == (path.parts[-3:] == ("kits_tf", "ct", "volume.py"))


def test_every_room_exists() -> None:
    assert all((ROOT / "kits_tf" / name).exists() or (ROOT / "kits_tf" / f"{name}.py").exists() for name in ORDER)
    assert all((ROOT / "kits_tf" / f"{name}.py").exists() for name in COMMANDS)
