"""kits-tf COMMAND, or python -m kits_tf COMMAND: the commands of the package by name."""

import sys
from collections.abc import Sequence

from kits_tf.base.command import all_commands, end_with
from kits_tf.base.version import __version__

# The commands by what they are for, in the order in which a user meets them.
GROUPS = {
    "Use": ("predict", "figures", "measure", "app"),
    "Data": ("audit", "convert", "restore", "phantom", "simulate"),
    "Training": ("summary", "train"),
    "Results": ("evaluate", "report", "submission"),
    "Serving": ("export", "serve", "client"),
    "All of it": ("demo",),
}


def main() -> None:
    """Runs the command that the first argument names; without one lists all of them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in all_commands():
        all_commands()[name].run(sys.argv[2:])
    end_with(_answer, [name])


def overview() -> str:
    """Returns a line for each command, by group: its name and the first sentence of its help."""
    lines = ["usage: kits-tf COMMAND [--flag=value ...]   (kits-tf COMMAND --help shows its flags)"]
    for group, names in GROUPS.items():
        lines += ["", group, *(f"  {name:<12}{all_commands()[name].summary}" for name in names)]
    return "\n".join(lines)


def _answer(arguments: Sequence[str]) -> int:
    """Prints the overview or the version if that is asked for; returns the exit status."""
    (name,) = arguments
    if name in ("-h", "--help", "--version"):
        print(f"kits_tf {__version__}" if name == "--version" else overview())
        return 0
    print(f"error: expected one of {', '.join(all_commands())}, got {name}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
