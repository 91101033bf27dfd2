"""Fixtures: the page of a tiny model, and its users."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from user import User

from kits_tf import app, config


@pytest.fixture(scope="session")
def url(run_dir: Path) -> Iterator[str]:
    """Address of the page of the tiny run."""
    limits = config.PageSettings(max_scan_mb=100, max_scans=4)
    with app.offered(app.App(model=str(run_dir), page_port=0, page=limits)) as found:
        yield found


@pytest.fixture
def new_user(url: str) -> Callable[[], User]:
    """Makes users."""
    return lambda: User(url)


@pytest.fixture
def user(new_user: Callable[[], User]) -> User:
    """One user."""
    return new_user()
