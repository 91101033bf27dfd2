"""python -m kits_tf.serve: exported models over gRPC and REST, and a page, for development and small sites."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.packages import require
from kits_tf.base.progress import still_working
from kits_tf.base.settings import setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ConnectionSettings, DicomSettings, ExportSettings, PageSettings, ServerSettings
from kits_tf.config.serving import check_host, is_this_machine

if TYPE_CHECKING:
    from kits_tf.webapp.service import PageService


@dataclass(frozen=True, kw_only=True)
class Serve(ServerSettings):
    """Serves exported models over gRPC and REST as TensorFlow Serving does, for development and small sites."""

    page: bool = setting(False, "Also offers the page of kits_tf.app, at / on the REST port.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.page and not self.token_file:
            check_host(self.host, "--token_file")


def main(settings: Serve) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes the running requests.

    Raises:
        InputError: the extra `serve` is not installed, or with --page `app`; there is no version to serve, or a port is
            taken.
    """
    require("serve", "grpc", "starlette", "uvicorn", "prometheus_client")
    from kits_tf.serving.versions import require_versions

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    if settings.export_dir:
        require_versions(Path(settings.export_dir))
    _require_files_and_ports(settings)
    start_tensorflow()
    from kits_tf.serving.server.server import Server

    with _page(settings) as page, model_folder(settings) as export_dir:
        with still_working("loading the model"):
            server = Server(replace(settings, export_dir=export_dir), page.routes if page else ())
            server.start()
        if page:
            page.start(lambda: server.service.model(page.report))
        print(
            f"model {server.name}: gRPC on {server.grpc_address}, REST on {server.url}/v1/models/{server.name}"
            + (f", page on {server.url}/" if page else ""),
            flush=True,
        )
        if not settings.token_file and not is_this_machine(settings.host):
            print(
                f"WARNING: anyone who reaches {settings.host} can use the model; --token_file requires a token",
                flush=True,
            )
        stop.wait()
        print("stopping: running requests are finished first", flush=True)
        server.stop()


def _require_files_and_ports(settings: Serve) -> None:
    """Raises InputError if a secret cannot be read or a port is taken, before TensorFlow is started for it."""
    from kits_tf.serving.credentials import read_file, read_token
    from kits_tf.serving.http_server import require_free_port

    read_token(settings.token_file)
    for path in (settings.tls_cert, settings.tls_key):
        read_file(path)
    for flag in ("grpc_port", "rest_port"):
        require_free_port(settings.host, getattr(settings, flag), flag)


@contextlib.contextmanager
def model_folder(settings: Serve) -> Iterator[str]:
    """Yields the folder of the model's versions: that given, or one with the starter network for the block."""
    if settings.export_dir:
        yield settings.export_dir
        return
    with tempfile.TemporaryDirectory(prefix="kits_tf-serve-") as folder:
        from kits_tf.serving.exporting import export

        export_dir = str(Path(folder) / ConnectionSettings().model_name)
        export(ExportSettings(export_dir=export_dir))
        yield export_dir


@contextlib.contextmanager
def _page(settings: Serve) -> Iterator["PageService | None"]:
    if not settings.page:
        yield None
        return
    require("app", "ipyniivue", "matplotlib", "pydicom", "highdicom")
    from kits_tf.serving.credentials import read_token
    from kits_tf.webapp.routes import Access
    from kits_tf.webapp.service import PageService

    access = Access(host=settings.host, token=read_token(settings.token_file), is_encrypted=bool(settings.tls_cert))
    with PageService(PageSettings(), DicomSettings(), access) as page:
        yield page


COMMAND = Command(name="serve", settings=Serve, main=main)

if __name__ == "__main__":
    COMMAND.run()
