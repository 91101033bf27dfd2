"""python -m kits_tf.app: a page on which scans are dropped, segmented, looked at, corrected and measured."""

import signal
import threading
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime

if TYPE_CHECKING:
    from kits_tf.inference.model import Model
    from kits_tf.inference.sliding import Tell


def main(settings: config.App) -> None:
    """Offers the page until SIGTERM or Ctrl-C; then all that was dropped on it is removed.

    Raises:
        InputError: the extra `app` is not installed, the model cannot be loaded, or the port is taken.
        UnavailableError: the model's server does not answer.
    """
    runtime.require("app", "starlette", "uvicorn", "ipyniivue", "matplotlib", "pydicom", "highdicom", "grpc", "requests")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    from kits_tf.webapp.server import PageServer

    with PageServer(settings) as server:
        print("loading the model", flush=True)
        server.start(_load(settings, server.tell))
        print(f"open {server.url} in a browser; Ctrl-C ends it and removes all scans", flush=True)
        stop.wait()


def _load(settings: config.App, tell: "Tell") -> "Model":
    if settings.connection.server:
        from dataclasses import asdict

        from kits_tf.serving.client.client import Client

        return Client(tell=tell, **asdict(settings.connection)).model
    runtime.start_tensorflow()
    from kits_tf.serving.saved_model import load_model

    return load_model(settings.model, settings.inference, tell=tell)


if __name__ == "__main__":
    commandline.run(config.App, main)
