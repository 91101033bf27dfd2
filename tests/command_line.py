"""A command in this process: from its command line to exit status and the lines that it printed."""

from dataclasses import dataclass

import pytest

from kits_tf.base.command import all_commands


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a command ended: its exit status and what it wrote."""

    status: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture, name: str, *arguments: object) -> Ending:
    """Runs a command; an exception that it lets through fails the test as it is."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        all_commands()[name].run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return Ending(status=int(ending.value.code or 0), out=out, err=err)
