"""The development server: one service behind gRPC and REST."""

import socket
import threading
from pathlib import Path

import grpc
import uvicorn

from kits_tf.config import Serve
from kits_tf.errors import InputError
from kits_tf.serving.credentials import read_file, read_token
from kits_tf.serving.server.grpc_service import GrpcServer
from kits_tf.serving.server.metrics import Metrics
from kits_tf.serving.server.model_folder import ModelFolder
from kits_tf.serving.server.rest_service import RestService
from kits_tf.serving.server.service import Service

_MB = 1_000_000
_BYTES_PER_VOXEL = 2
# Connections at once; more are answered 503.
_MOST_CONNECTIONS = 256


class Server:
    """Serves the newest version of a model until it is stopped.

    Args:
        settings: what to serve and how.

    Raises:
        InputError: a port is taken, or a file cannot be read.
    """

    def __init__(self, settings: Serve) -> None:
        self._settings = settings
        root = Path(settings.export_dir)
        self.name = settings.model_name or root.resolve().name
        self._folder = ModelFolder(root, settings.poll_s, lambda text: print(text, flush=True))
        max_bytes, token = settings.max_message_mb * _MB, read_token(settings.token_file)
        self.service = Service(self.name, self._folder, settings.queue, max_bytes // _BYTES_PER_VOXEL, Metrics())
        self._socket = _listen(settings.host, settings.rest_port)
        try:
            self._grpc = GrpcServer(
                self.service,
                _address(settings.host, settings.grpc_port),
                queue=settings.queue,
                max_message_bytes=max_bytes,
                receive_s=settings.receive_s,
                token=token,
                credentials=_credentials(settings),
            )
        except InputError:
            self._socket.close()
            raise
        rest = RestService(
            self.service, max_bytes=settings.max_rest_mb * _MB, receive_s=settings.receive_s, token=token
        )
        self._rest = uvicorn.Server(
            uvicorn.Config(
                rest.app,
                log_level="warning",
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(settings.grace_s),
                ssl_certfile=settings.tls_cert or None,
                ssl_keyfile=settings.tls_key or None,
            )
        )
        self._rest_thread = threading.Thread(target=self._rest.run, args=([self._socket],), name="REST", daemon=True)

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of gRPC."""
        return _address(self._settings.host, self._grpc.port)

    @property
    def rest_address(self) -> str:
        """HOST:PORT of REST."""
        return _address(self._settings.host, self._socket.getsockname()[1])

    def start(self) -> None:
        """Loads the newest version, and begins to answer.

        Raises:
            InputError: there is no version that can be served.
        """
        try:
            self._folder.start()
        except InputError:
            self._socket.close()
            raise
        self._grpc.start()
        self._rest_thread.start()

    def stop(self) -> None:
        """Takes no further requests, finishes those that run, or gives them up after the time of grace."""
        self.service.is_stopping = True
        self._folder.stop()
        self._rest.should_exit = True
        self._grpc.stop(self._settings.grace_s)
        self._rest_thread.join(self._settings.grace_s)
        self._socket.close()


def _address(host: str, port: int) -> str:
    """Returns HOST:PORT; of an IPv6 address, which has colons of its own, [HOST]:PORT."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        where = _address(host, port)
        raise InputError(f"{where}: expected an address and a port that is free for REST: {error}") from None
    listening.listen()
    return listening


def _credentials(settings: Serve) -> grpc.ServerCredentials | None:
    if not settings.tls_cert:
        return None
    return grpc.ssl_server_credentials([(read_file(settings.tls_key), read_file(settings.tls_cert))])
