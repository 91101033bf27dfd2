"""Somebody who asks the page without a browser."""

import time
from pathlib import Path

import requests


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
        assert self.post(f"api/scans/{key}/start", json={}).status_code == 200
        return key

    def state(self, key: str) -> dict:
        """Returns what the list of scans says of one."""
        return next(scan for scan in self.get("api/scans").json()["scans"] if scan["key"] == key)

    def wait(self, key: str) -> dict:
        """Returns what the list says of a scan once nothing more becomes of it."""
        end = time.monotonic() + 120
        while self.state(key)["state"] not in ("choosing", "done", "refused", "failed", "cancelled"):
            assert time.monotonic() < end, self.state(key)
            time.sleep(0.05)
        return self.state(key)
