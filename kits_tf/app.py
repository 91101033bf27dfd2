"""python -m kits_tf.app: a page on which scans are dropped, segmented, looked at, corrected and measured."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime

if TYPE_CHECKING:
    from kits_tf.inference.model import Model
    from kits_tf.inference.progress import Tell

_GRACE_S = 5.0


def main(settings: config.App) -> None:
    """Offers the page until SIGTERM or Ctrl-C; then all that was dropped on it is removed.

    Raises:
        InputError: the extra `app` is not installed, the model cannot be loaded, or the port is taken.
        UnavailableError: the model's server does not answer.
    """
    runtime.require(
        "app", "starlette", "uvicorn", "ipyniivue", "matplotlib", "pydicom", "highdicom", "grpc", "requests"
    )
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with offered(settings) as url:
        print(f"open {url} in a browser; Ctrl-C ends it and removes all scans", flush=True)
        stop.wait()


@contextlib.contextmanager
def offered(settings: config.App) -> Iterator[str]:
    """Offers the page and gives its address.

    Raises:
        InputError: as `main`.
    """
    runtime.start_tensorflow()
    from starlette.applications import Starlette

    from kits_tf.serving.credentials import read_token
    from kits_tf.serving.server.http import HttpServer
    from kits_tf.webapp.service import PageService

    token, secure = read_token(settings.page_token_file), bool(settings.tls_cert)
    with PageService(settings.page, settings.dicom, host=settings.host, token=token, secure=secure) as page:
        http = HttpServer(
            Starlette(routes=page.routes),
            settings.host,
            settings.page_port,
            grace_s=_GRACE_S,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
        )
        try:
            print("loading the model", flush=True)
            model = _load(settings, page.tell)
            page.start(lambda: model)
            http.start()
            yield f"http{'s' if secure else ''}://{http.address}/"
        finally:
            http.close()


def _load(settings: config.App, tell: "Tell") -> "Model":
    if settings.connection.server:
        from kits_tf.serving.client.client import Client

        return Client(tell=tell, **dataclasses.asdict(settings.connection)).model
    from kits_tf.serving.saved_model import load_model

    return load_model(settings.model, settings.inference, tell=tell)


if __name__ == "__main__":
    commandline.run(config.App, main)
