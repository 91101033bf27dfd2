"""The development server: one service behind gRPC and REST."""

from collections.abc import Sequence
from pathlib import Path

import grpc
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from kits_tf.base.errors import InputError
from kits_tf.config import ServerSettings
from kits_tf.serving.credentials import read_file, read_token
from kits_tf.serving.server.grpc_service import GrpcServer
from kits_tf.serving.server.http import HttpServer, address
from kits_tf.serving.server.metrics import Metrics
from kits_tf.serving.server.model_folder import ModelFolder
from kits_tf.serving.server.rest_service import RestService
from kits_tf.serving.server.service import Service

_MB = 1_000_000
_BYTES_PER_VOXEL = 2


class Server:
    """Serves the newest version of a model until it is stopped.

    Args:
        settings: what to serve and how.
        further_routes: that HTTP answers beside those of REST.

    Raises:
        InputError: a port is taken, or a file cannot be read.
    """

    def __init__(self, settings: ServerSettings, further_routes: Sequence[BaseRoute] = ()) -> None:
        self._settings = settings
        root = Path(settings.export_dir)
        self.name = settings.model_name or root.resolve().name
        self._folder = ModelFolder(root, settings.poll_s, lambda text: print(text, flush=True))
        max_bytes, token = settings.max_message_mb * _MB, read_token(settings.token_file)
        self.service = Service(self.name, self._folder, settings.queue, max_bytes // _BYTES_PER_VOXEL, Metrics())
        rest = RestService(
            self.service, max_bytes=settings.max_rest_mb * _MB, receive_s=settings.receive_s, token=token
        )
        self._http = HttpServer(
            Starlette(routes=[*rest.routes, *further_routes], exception_handlers=rest.exception_handlers),
            settings.host,
            settings.rest_port,
            grace_s=settings.grace_s,
            tls_cert=settings.tls_cert,
            tls_key=settings.tls_key,
        )
        try:
            self._grpc = GrpcServer(
                self.service,
                address(settings.host, settings.grpc_port),
                queue=settings.queue,
                max_message_bytes=max_bytes,
                receive_s=settings.receive_s,
                token=token,
                credentials=_credentials(settings),
            )
        except InputError:
            self._http.close()
            raise

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of gRPC."""
        return address(self._settings.host, self._grpc.port)

    @property
    def rest_address(self) -> str:
        """HOST:PORT of REST."""
        return self._http.address

    def start(self) -> None:
        """Loads the newest version, and begins to answer.

        Raises:
            InputError: there is no version that can be served.
        """
        try:
            self._folder.start()
        except InputError:
            self._http.close()
            raise
        self._grpc.start()
        self._http.start()

    def stop(self) -> None:
        """Takes no further requests, finishes those that run, or gives them up after the time of grace."""
        self.service.is_stopping = True
        self._folder.stop()
        self._http.tell_to_stop()
        self._grpc.stop(self._settings.grace_s)
        self._http.close()


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    if not settings.tls_cert:
        return None
    return grpc.ssl_server_credentials([(read_file(settings.tls_key), read_file(settings.tls_cert))])
