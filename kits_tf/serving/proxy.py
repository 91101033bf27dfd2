"""The proxy that gRPC takes on its way to a server: none to this machine, and elsewhere never one without a word."""

import os
import socket

from kits_tf.config.serving import is_this_machine

# gRPC's own rules: the first that is set, in small letters only.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTION_VARIABLES = ("no_grpc_proxy", "no_proxy")
# Addresses to listen on; who connects to one of them reaches this machine.
_UNSPECIFIED = ("0.0.0.0", "::")
# A channel with this option connects by itself, whatever the environment says.
NO_PROXY = ("grpc.enable_http_proxy", 0)


def proxy_to(server: str) -> str:
    """Returns the proxy on the way to a server, as in "http://proxy:3128" and without its password; "" for none.

    A server on this machine is reached without one: a proxy elsewhere would get its token and scans in the clear.

    Args:
        server: HOST:PORT.
    """
    host = server.rpartition(":")[0].strip("[]")
    proxy = _first_set(_PROXY_VARIABLES)
    if not proxy or _is_excepted(host) or is_this_machine(host) or _is_name_of_this_machine(host):
        return ""
    scheme, separator, rest = proxy.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _first_set(names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")


def _is_excepted(host: str) -> bool:
    """Returns whether the environment names a host, or a domain that it is in, as one to reach without a proxy."""
    exceptions = _first_set(_EXCEPTION_VARIABLES).split(",")
    return any(host.endswith(part) for part in map(str.strip, exceptions) if part)


def _is_name_of_this_machine(host: str) -> bool:
    """Returns whether all addresses of a name are this machine's; a name that nobody knows has none."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(is_this_machine(address) or address in _UNSPECIFIED for address in addresses)
