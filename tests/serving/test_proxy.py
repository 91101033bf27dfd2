"""The way to a server, where the environment names a proxy."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kits_tf.base.errors import InputError
from kits_tf.config import ConnectionSettings
from kits_tf.config.serving import is_this_machine
from kits_tf.serving.proxy import proxy_to

ROOT = Path(__file__).parent.parent.parent
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy")
# Asks each server of the command line once, and prints how that failed.
ASK = """
import sys
import kits_tf
for server in sys.argv[1:]:
    try:
        kits_tf.connect(server, attempts=1, deadline_s=20)
    except kits_tf.InputError as error:
        print(error)
"""


class Proxy:
    """Listens on this machine, keeps what it gets, and answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.received: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(4096))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    found = Proxy()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:secret@{found.address}")
    yield found
    found.close()


def ask(*servers: str) -> list[str]:
    command = [sys.executable, "-c", ASK, *servers]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ)
    return result.stdout.splitlines()


def test_nothing_for_this_machine_reaches_a_proxy_and_elsewhere_it_is_named(proxy: Proxy) -> None:
    here = ["localhost:9", "127.0.0.2:9", "[::1]:9", f"{socket.gethostname()}:9", "a.localhost:9"]
    here = [server for server in here if proxy_to(server) == ""]
    assert len(here) >= 4
    lines = ask(*here)
    assert len(lines) == len(here) and not any("proxy" in line for line in lines)
    assert proxy.received == []
    (line,) = ask("server.invalid:9")
    assert f"tried 1 times through the proxy http://{proxy.address} (no_proxy=server.invalid goes without)" in line
    assert "secret" not in line
    assert proxy.received[0].startswith(b"CONNECT server.invalid:9 ")


@pytest.mark.parametrize(
    ("server", "variables", "expected"),
    [
        ("scans.invalid:8500", {}, "http://proxy:1"),
        ("scans.invalid:8500", {"https_proxy": "http://me:pw@other:2"}, "http://other:2"),
        ("scans.invalid:8500", {"grpc_proxy": "third:3", "https_proxy": "http://other:2"}, "third:3"),
        ("scans.invalid:8500", {"no_proxy": "example.org, invalid"}, ""),
        ("scans.invalid:8500", {"no_proxy": "example.org"}, "http://proxy:1"),
        ("scans.invalid:8500", {"http_proxy": ""}, ""),
        ("10.0.0.1:8500", {}, "http://proxy:1"),
        ("[2001:db8::1]:8500", {}, "http://proxy:1"),
        ("0.0.0.0:8500", {}, ""),
        ("LOCALHOST.:8500", {}, ""),
        ("[::ffff:127.0.0.1]:8500", {}, ""),
        ("127.255.0.3:8500", {}, ""),
    ],
)
def test_the_proxy_on_the_way(
    server: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"http_proxy": "http://me:secret@proxy:1"} | variables).items():
        monkeypatch.setenv(name, value)
    assert proxy_to(server) == expected


def test_names_of_this_machine() -> None:
    own = ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "Localhost.", "a.localhost")
    assert all(map(is_this_machine, own))
    assert not any(map(is_this_machine, ("0.0.0.0", "::", "10.0.0.1", "localhost.org", "mylocalhost", "", "scans")))


@pytest.mark.parametrize(
    "server", ["::1:8500", "dns:///localhost:8500", "http://localhost:8500", "unix:/tmp/s", "a:0", ":1"]
)
def test_other_addresses_are_refused(server: str) -> None:
    with pytest.raises(InputError, match="--server: expected HOST:PORT"):
        ConnectionSettings(server=server)
