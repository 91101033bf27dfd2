"""A Starlette application on an address, in a thread of its own; and bodies of requests, up to a number of bytes."""

import errno
import socket
import threading
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from kits_tf.base.errors import InputError

# Connections at once; more are answered 503.
_MOST_CONNECTIONS = 256


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The address of a server, and how it is encrypted.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 takes any that is free.
        port_flag: name of the port's flag, for errors.
        tls_cert: PEM file of the certificate; "" for no encryption.
        tls_key: PEM file of its key.
    """

    host: str
    port: int
    port_flag: str
    tls_cert: str = ""
    tls_key: str = ""


class HttpServer:
    """Answers HTTP on an address, which is taken at once.

    Args:
        application: application that answers.
        endpoint: the address.
        grace_s: seconds that requests may still run after `stop_accepting`.

    Raises:
        InputError: the port is taken, or the address is not one of this machine.
    """

    def __init__(self, application: Starlette, endpoint: Endpoint, grace_s: float) -> None:
        self._endpoint, self._grace_s = endpoint, grace_s
        self._socket = listen(endpoint.host, endpoint.port, endpoint.port_flag)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                application,
                log_level="warning",
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(grace_s),
                ssl_certfile=endpoint.tls_cert or None,
                ssl_keyfile=endpoint.tls_key or None,
            )
        )
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), name="HTTP", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT, with the port that is listened on."""
        return format_address(self._endpoint.host, self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The address as a browser takes it, as in http://127.0.0.1:8080."""
        return f"http{'s' if self._endpoint.tls_cert else ''}://{self.address}"

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop_accepting(self) -> None:
        """Takes no further requests."""
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Waits for running requests, for `grace_s` at most, and frees the address."""
        self.stop_accepting()
        if self._thread.is_alive():
            self._thread.join(self._grace_s)
        self._socket.close()


class TooLargeError(Exception):
    """A body has more bytes than are allowed."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Returns the body of a request.

    Raises:
        TooLargeError: it has, or claims to have, more than `max_bytes` bytes; the rest is not read.
        ClientDisconnect: the client is gone.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise TooLargeError
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise TooLargeError
        parts.append(part)
    return b"".join(parts)


def format_address(host: str, port: int) -> str:
    """Returns HOST:PORT, or [HOST]:PORT for an IPv6 address, which has colons of its own."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int, port_flag: str) -> socket.socket:
    """Returns a socket that listens on an address.

    Args:
        host: address of this machine.
        port: port to listen on; 0 takes any that is free.
        port_flag: name of the port's flag, for errors.

    Raises:
        InputError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"expected a free port, another program listens on {format_address(host, port)}"
            raise InputError(f"--{port_flag}={port}: {reason}; 0 takes any free port") from None
        if error.errno == errno.EACCES:
            raise InputError(f"--{port_flag}={port}: expected a port that you may use: {error.strerror}") from None
        raise InputError(f"--host={host}: expected an address of this machine: {error.strerror or error}") from None
    listener.listen()
    return listener


def require_free_port(host: str, port: int, port_flag: str) -> None:
    """Raises InputError as `listen` does, and leaves the address to whoever listens on it next."""
    listen(host, port, port_flag).close()
