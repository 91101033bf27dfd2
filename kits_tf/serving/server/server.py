"""The development server: one service behind gRPC and REST."""

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from kits_tf.base.errors import InputError
from kits_tf.config import ServerSettings
from kits_tf.serving.credentials import read_token
from kits_tf.serving.http_server import Endpoint, HttpServer
from kits_tf.serving.server.grpc_service import GrpcServer
from kits_tf.serving.server.metrics import Metrics
from kits_tf.serving.server.model_folder import ModelFolder
from kits_tf.serving.server.rest_service import RestService
from kits_tf.serving.server.service import Service

_BYTES_PER_VOXEL = 2


class Server:
    """Serves the newest version of a model until it is stopped.

    Args:
        settings: model, addresses, certificate and limits.
        further_routes: routes that HTTP answers in addition to those of REST.

    Raises:
        InputError: a port is taken, or a file cannot be read.
    """

    def __init__(self, settings: ServerSettings, further_routes: Sequence[BaseRoute] = ()) -> None:
        self._grace_s = settings.grace_s
        root = Path(settings.export_dir)
        self.name = settings.model_name or root.resolve().name
        token = read_token(settings.token_file)
        self._folder = ModelFolder(root, settings.poll_s)
        most_voxels = settings.max_message_bytes // _BYTES_PER_VOXEL
        self.service = Service(self.name, self._folder, settings.queue, most_voxels, Metrics())
        rest = RestService(self.service, settings.max_rest_bytes, settings.receive_s, token)
        self._http = HttpServer(
            Starlette(routes=[*rest.routes, *further_routes], exception_handlers=rest.exception_handlers),
            Endpoint(
                host=settings.host,
                port=settings.rest_port,
                port_flag="rest_port",
                tls_cert=settings.tls_cert,
                tls_key=settings.tls_key,
            ),
            settings.grace_s,
        )
        try:
            self._grpc = GrpcServer(self.service, settings, token)
        except InputError:
            self._http.close()
            raise

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of gRPC."""
        return self._grpc.address

    @property
    def rest_address(self) -> str:
        """HOST:PORT of REST."""
        return self._http.address

    @property
    def url(self) -> str:
        """The address of REST as a browser takes it."""
        return self._http.url

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
        """Takes no further requests, and ends when the running ones are finished or their time of grace is over."""
        self.service.is_stopping = True
        self._folder.stop()
        self._http.stop_accepting()
        self._grpc.stop(self._grace_s)
        self._http.close()
