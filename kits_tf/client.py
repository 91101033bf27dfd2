"""python -m kits_tf.client: scans -> masks on their own grids, by a model on a server."""

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime

if TYPE_CHECKING:
    from kits_tf.inference.model import Model


def main(settings: config.Client, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz.

    Raises:
        InputError: the extra `client` is not installed, two inputs would give the same file, or an input failed.
        UnavailableError: the server cannot be reached.
    """
    runtime.require("client", "grpc", "requests")
    from kits_tf.ct.scans import find_scans
    from kits_tf.inference.many import segment_scans

    scans, connection = find_scans(inputs, settings.dicom), settings.connection
    if connection.mode == "patches":
        runtime.start_tensorflow()
    from kits_tf.serving.client.client import Client

    options = dataclasses.asdict(connection)
    with contextlib.ExitStack() as stack:

        def load() -> "Model":
            return stack.enter_context(Client(tell=runtime.tell_on_terminal("window"), **options)).model

        segment_scans(scans, Path(settings.output_dir), settings.labels, load)


if __name__ == "__main__":
    commandline.run(config.Client, main, inputs="SCAN")
