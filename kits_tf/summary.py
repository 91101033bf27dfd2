"""python -m kits_tf.summary: what a network consists of and what it costs."""

from dataclasses import asdict, dataclass, field

from kits_tf.base.command import Command
from kits_tf.base.files import require_own
from kits_tf.base.packages import require
from kits_tf.base.settings import Settings, format_flag, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import NetworkSettings, shared


@dataclass(frozen=True, kw_only=True)
class Summary(Settings):
    """Shows the layers of a network and its cost in time and memory, before anything is trained."""

    patch_size_zyx: tuple[int, int, int] = shared.patch_size()
    batch_size: int = shared.batch_size()
    rematerialize: bool = shared.rematerialize()
    label_scheme: str = shared.label_scheme()
    cyst_as: str = shared.cyst_as()
    graph_png: str = setting("", "PNG file for a drawing of the network. Empty: no drawing.", is_path=True)
    network: NetworkSettings = field(default_factory=NetworkSettings)


def main(settings: Summary) -> None:
    """Prints layers, receptive field, operations and memory, and draws the network where asked to.

    Raises:
        InputError: the network cannot take the patch, or the picture cannot be drawn there or without matplotlib.
    """
    if settings.graph_png:
        require("figures", "matplotlib")
        require_own([settings.graph_png])
    start_tensorflow()
    from kits_tf.ct.labels import find_scheme
    from kits_tf.network.architecture import make_architecture
    from kits_tf.training.description import describe
    from kits_tf.views.terminal.network_table import network_table

    description = describe(
        make_architecture(settings.network),
        find_scheme(settings.label_scheme, settings.cyst_as),
        settings.patch_size_zyx,
        settings.batch_size,
        settings.rematerialize,
    )
    print(network_table(description, settings.batch_size))
    if settings.graph_png:
        from kits_tf.views.drawings import canvas
        from kits_tf.views.drawings.network_figure import network_figure

        given = {name: value for name, value in asdict(settings.network).items() if value is not None}
        title = " ".join(format_flag(name, value) for name, value in given.items())
        canvas.save(network_figure(title, description), settings.graph_png)
        print(f"wrote {settings.graph_png}")


COMMAND = Command(name="summary", settings=Summary, main=main)

if __name__ == "__main__":
    COMMAND.run()
