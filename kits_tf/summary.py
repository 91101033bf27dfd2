"""python -m kits_tf.summary: what a network is made of and what it costs."""

from dataclasses import asdict, dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.packages import require
from kits_tf.base.settings import format_value
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import SummarySettings


@dataclass(frozen=True, kw_only=True)
class Summary(SummarySettings):
    """Tells what a network is made of and what it costs, before anything is trained."""


def main(settings: Summary) -> None:
    """Prints layers, receptive field, operations and memory, and draws the network where asked to.

    Raises:
        InputError: the network cannot take the patch, or the picture cannot be drawn there or without matplotlib.
    """
    if settings.graph_png:
        require("figures", "matplotlib")
        if Path(settings.graph_png).is_dir():
            raise InputError(f"--graph_png: expected a file, found a folder: {settings.graph_png}")
    start_tensorflow()
    from kits_tf.training.description import describe
    from kits_tf.views.terminal.network_table import network_table

    found = describe(settings)
    print(network_table(found, settings.batch_size))
    if settings.graph_png:
        from kits_tf.views.drawings import canvas
        from kits_tf.views.drawings.network_figure import network_figure

        given = {name: value for name, value in asdict(settings.network).items() if value is not None}
        title = " ".join(f"--{name}={format_value(value)}" for name, value in given.items())
        canvas.save(network_figure(title, found), settings.graph_png)
        print(f"wrote {settings.graph_png}")


COMMAND = Command(name="summary", settings=Summary, main=main)

if __name__ == "__main__":
    COMMAND.run()
