"""An application of Starlette's on an address, in a thread of its own."""

import socket
import threading

import uvicorn
from starlette.applications import Starlette

from kits_tf.base.errors import InputError

# Connections at once; more are answered 503.
_MOST_CONNECTIONS = 256


class HttpServer:
    """Answers HTTP on an address, which it takes at once.

    Args:
        app: what answers.
        host: to listen on.
        port: likewise; 0 for any that is free.
        grace_s: how long requests may still run after `stop`.
        tls_cert: PEM file of the certificate; "" for no encryption.
        tls_key: PEM file of its key.

    Raises:
        InputError: the port is taken, or the address is none of this machine.
    """

    def __init__(
        self, app: Starlette, host: str, port: int, *, grace_s: float, tls_cert: str = "", tls_key: str = ""
    ) -> None:
        self._host, self._grace_s = host, grace_s
        self._socket = _listen(host, port)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(grace_s),
                ssl_certfile=tls_cert or None,
                ssl_keyfile=tls_key or None,
            )
        )
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), name="HTTP", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return address(self._host, self._socket.getsockname()[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def tell_to_stop(self) -> None:
        """Takes no further requests."""
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Waits for the requests that run, as long as it may, and gives the address back."""
        self.tell_to_stop()
        if self._thread.is_alive():
            self._thread.join(self._grace_s)
        self._socket.close()


def address(host: str, port: int) -> str:
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
        where = address(host, port)
        raise InputError(f"{where}: expected an address and a port that is free for HTTP: {error}") from None
    listening.listen()
    return listening
