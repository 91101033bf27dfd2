"""kits-tf COMMAND, or python -m kits_tf COMMAND: the commands of the package by name."""

import sys
from collections.abc import Sequence

from kits_tf.base.command import all_commands, end_with


def main() -> None:
    """Runs the command that the first argument names; without one lists all of them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in all_commands():
        all_commands()[name].run(sys.argv[2:])
    end_with(_list_commands, [name])


def overview() -> str:
    """Returns a line for each command: its name and the first sentence of its help."""
    lines = ["usage: kits-tf COMMAND [--flag=value ...]   (kits-tf COMMAND --help shows its flags)", ""]
    for name, command in all_commands().items():
        lines.append(f"  {name:<12}{command.summary}")
    return "\n".join(lines)


def _list_commands(arguments: Sequence[str]) -> int:
    """Prints the overview if that is asked for; returns the exit status."""
    (name,) = arguments
    if name not in ("-h", "--help"):
        print(f"error: expected one of {', '.join(all_commands())}, got {name}", file=sys.stderr)
        return 2
    print(overview())
    return 0


if __name__ == "__main__":
    main()
