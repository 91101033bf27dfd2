"""python -m kits_tf.serve: exported models over gRPC and REST, and a page, for development and small sites."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime

if TYPE_CHECKING:
    from kits_tf.webapp.service import PageService


def main(settings: config.Serve) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes what runs.

    Raises:
        InputError: the extra `serve` is not installed, or with --page `app`; there is no version to serve, or a port is
            taken.
    """
    runtime.require("serve", "grpc", "starlette", "uvicorn", "prometheus_client")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    runtime.start_tensorflow()
    from kits_tf.serving.server.server import Server

    with _page(settings) as page:
        server = Server(settings, page.routes if page else ())
        server.start()
        if page:
            page.start(lambda: server.service.model(page.tell))
        web = f"http{'s' if settings.tls_cert else ''}://{server.rest_address}"
        print(
            f"model {server.name}: gRPC on {server.grpc_address}, REST on {web}/v1/models/{server.name}"
            + (f", page on {web}/" if page else ""),
            flush=True,
        )
        stop.wait()
        print("stopping: requests that run are finished", flush=True)
        server.stop()


@contextlib.contextmanager
def _page(settings: config.Serve) -> Iterator["PageService | None"]:
    if not settings.page:
        yield None
        return
    runtime.require("app", "ipyniivue", "matplotlib", "pydicom", "highdicom")
    from kits_tf.serving.credentials import read_token
    from kits_tf.webapp.service import PageService

    token, secure = read_token(settings.token_file), bool(settings.tls_cert)
    limits = config.PageSettings()
    with PageService(limits, config.DicomSettings(), host=settings.host, token=token, secure=secure) as page:
        yield page


if __name__ == "__main__":
    commandline.run(config.Serve, main)
