"""python -m kits_tf.summary: what a network is made of and what it costs."""

from dataclasses import asdict
from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError
from kits_tf.settings import format_value


def main(settings: config.Summary) -> None:
    """Prints layers, receptive field, operations and memory, and draws the network where asked to.

    Raises:
        InputError: the network cannot take the patch, or the picture cannot be drawn there or without matplotlib.
    """
    if settings.graph_png:
        runtime.require("figures", "matplotlib")
        if Path(settings.graph_png).is_dir():
            raise InputError(f"--graph_png: expected a file, found a folder: {settings.graph_png}")
    runtime.start_tensorflow()
    from kits_tf.training.description import describe
    from kits_tf.views.network_table import network_table

    found = describe(settings)
    print(network_table(found, settings.batch_size))
    if settings.graph_png:
        from kits_tf.views import canvas
        from kits_tf.views.network_figure import network_figure

        given = {name: value for name, value in asdict(settings.network).items() if value is not None}
        title = " ".join(f"--{name}={format_value(value)}" for name, value in given.items())
        canvas.save(network_figure(title, found), settings.graph_png)
        print(f"wrote {settings.graph_png}")


if __name__ == "__main__":
    commandline.run(config.Summary, main)
