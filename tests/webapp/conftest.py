"""Fixtures: the page of a tiny model, and users who ask it without a browser."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from kits_tf import app, config


class User(requests.Session):
    """Somebody with a browser of their own, who has opened the page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.get("")

    def request(self, method: str, path: str, *args: object, **kwargs: object) -> requests.Response:
        """Asks for a path below the page."""
        return super().request(method, self.url + path, *args, **kwargs)

    def drop(self, *files: Path, name: str = "") -> str:
        """Sends files as one scan and returns its key."""
        key = self.post("api/scans", json={"name": name or files[0].name}).json()["key"]
        for number, file in enumerate(files):
            found = self.put(f"api/scans/{key}/files/{number}", data=file.read_bytes(), params={"name": file.name})
            assert found.status_code == 200, found.text
        assert self.post(f"api/scans/{key}/start").status_code == 200
        return key

    def state(self, key: str) -> dict:
        """Returns what the list of scans says of one."""
        return next(scan for scan in self.get("api/scans").json()["scans"] if scan["key"] == key)

    def wait(self, key: str) -> dict:
        """Returns what the list says of a scan once nothing more becomes of it."""
        end = time.monotonic() + 120
        while self.state(key)["state"] not in ("done", "failed", "cancelled"):
            assert time.monotonic() < end, self.state(key)
            time.sleep(0.05)
        return self.state(key)


@pytest.fixture(scope="session")
def url(run_dir: Path) -> Iterator[str]:
    """Address of the page of the tiny run."""
    limits = config.PageSettings(max_scan_mb=20, max_scans=4)
    with app.offered(config.App(model=str(run_dir), page_port=0, page=limits)) as found:
        yield found


@pytest.fixture
def new_user(url: str) -> Callable[[], User]:
    """Makes users."""
    return lambda: User(url)


@pytest.fixture
def user(new_user: Callable[[], User]) -> User:
    """One user."""
    return new_user()
