"""kits-tf COMMAND, or python -m kits_tf COMMAND: the commands of the package by name."""

import sys

from kits_tf.base.command import all_commands


def main() -> None:
    """Runs the command that the first argument names; without one lists all of them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(overview())
        return
    if name not in all_commands():
        print(f"error: expected one of {', '.join(all_commands())}, got {name}", file=sys.stderr)
        sys.exit(2)
    all_commands()[name].run(sys.argv[2:])


def overview() -> str:
    """Returns a line for each command: its name and the first sentence of its help."""
    lines = ["usage: kits-tf COMMAND [--flag=value ...]   (kits-tf COMMAND --help shows its flags)", ""]
    for name, command in all_commands().items():
        lines.append(f"  {name:<12}{command.summary}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
