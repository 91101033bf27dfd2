"""A browser without a window, for tests of pages."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# A busy machine draws slowly without a GPU.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
# WebGL 2 without a GPU; without the rest Chromium looks for Google's servers.
FLAGS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


def find_browser() -> str:
    """Returns an installed Chromium or Chrome; without one the tests are left out, but for CI, which installs one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("expected Chromium or Chrome, found none")
    pytest.skip("no Chromium or Chrome is installed")


def go_to(page: Page, address: str) -> None:
    """Opens an address and waits until it is drawn: before that nobody would click, and Chromium may drop clicks."""
    page.goto(address)
    page.evaluate("() => new Promise(done => new PerformanceObserver(done).observe({ type: 'paint', buffered: true }))")


def wait_until_drawn(page: Page) -> None:
    """Waits until the browser has drawn what scripts asked for so far: until the frame after the next one begins."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@contextlib.contextmanager
def started_browser() -> Iterator[Browser]:
    """Gives Chromium."""
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
