"""The house has an order: a room imports only rooms that stand before it, and nothing imports a command.

`python tests/test_imports.py` prints the order: files and lines of each room, and the rooms that it imports.
"""

import ast
from pathlib import Path

from house import ROOMS

from kits_tf.base.command import all_commands

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kits_tf"
MODULES = sorted([*ROOT.glob("kits_tf/**/*.py"), *ROOT.glob("tfrecords_tools/**/*.py")])
COMMAND_MODULES = [["kits_tf", name] for name in all_commands()]
# All that kits_tf takes of tfrecords_tools outside of its ground floor: records, and the files that they are in.
RECORDS = {"errors", "index", "read", "spec", "write"}


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


def name_of(path: Path) -> str:
    """Returns "kits_tf.ct.volume" for its file, and "kits_tf.ct" for that of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """Returns "ct" for "kits_tf.ct.volume.Volume"; "" for what is not in a room."""
    parts = module.split(".")
    return parts[1] if parts[0] == "kits_tf" and len(parts) > 1 and parts[1] in ROOMS else ""


def test_the_package_has_commands_and_rooms_and_nothing_else() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules == set(all_commands()) and rooms == set(ROOMS)
    assert all(name == command.name for name, command in all_commands().items())


def test_no_module_in_a_room_has_the_name_of_a_command() -> None:
    names = {part for path in PACKAGE.glob("*/**/*.py") for part in path.relative_to(PACKAGE).with_suffix("").parts[1:]}
    assert not names & set(all_commands())


def test_rooms_import_only_rooms_before_them_and_no_command() -> None:
    wrong = []
    for path in PACKAGE.glob("*/**/*.py"):
        allowed = {"", *ROOMS[: ROOMS.index(room_of(name_of(path))) + 1]}
        used = imported_modules(path)
        wrong += [f"{name_of(path)} imports {name}" for name in used if room_of(name) not in allowed]
        wrong += [f"{name_of(path)} imports {name}" for name in used if name.split(".")[:2] in COMMAND_MODULES]
    assert not wrong, "\n".join(wrong)


def test_commands_import_no_command_except_the_demo() -> None:
    for name in set(all_commands()) - {"demo"}:
        used = imported_modules(PACKAGE / f"{name}.py")
        assert not [module for module in used if module.split(".")[:2] in COMMAND_MODULES], name


def test_only_commands_know_the_command_line() -> None:
    assert not [
        path
        for path in PACKAGE.glob("*/**/*.py")
        if "kits_tf.base.command.Command" in imported_modules(path) and "TYPE_CHECKING" not in path.read_text()
    ]


def test_the_package_of_records_knows_no_kidneys_and_is_used_for_records_only() -> None:
    for path in MODULES:
        used = imported_modules(path)
        if path.is_relative_to(ROOT / "tfrecords_tools"):
            assert not [name for name in used if name.split(".")[0] in ("kits_tf", "keras", "nibabel")], path
        elif room_of(name_of(path)) != "base":
            tools = {name.split(".")[1] for name in used if name.startswith("tfrecords_tools.")}
            assert tools <= RECORDS, f"{path}: {tools - RECORDS}"


def test_only_volume_and_its_header_know_nibabel() -> None:
    users = {name_of(path) for path in MODULES for name in imported_modules(path) if name.split(".")[0] == "nibabel"}
    assert users == {"kits_tf.ct.nifti_header", "kits_tf.ct.volume"}


def picture() -> str:
    """Returns a line for each room and for the commands: files, lines, and the rooms imported."""
    lines = []
    for room in [*ROOMS, "commands"]:
        paths = sorted(PACKAGE.glob("*.py" if room == "commands" else f"{room}/**/*.py"))
        count = sum(len(path.read_text().splitlines()) for path in paths)
        used = {room_of(name) for path in paths for name in imported_modules(path)} - {"", room}
        lines.append(f"{room:<10} {len(paths):>3} files {count:>5} lines  {' '.join(sorted(used, key=ROOMS.index))}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(picture())
