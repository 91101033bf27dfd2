"""Fixtures: the page of a tiny model, that of a model without a network, and their users."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_model import save_fake_model
from user import User

from kits_tf import app, config, predict


@pytest.fixture(scope="session")
def url(run_dir: Path) -> Iterator[str]:
    """Address of the page of the tiny run."""
    limits = config.PageSettings(max_scan_mb=100, max_scans=4)
    with app.serve_page(app.App(model=str(run_dir), page_port=0, page=limits)) as found:
        yield found


@pytest.fixture(scope="session")
def scan(data_dir: Path) -> Path:
    """A phantom."""
    return data_dir / "case_00000" / "imaging.nii.gz"


@pytest.fixture(scope="session")
def predicted(run_dir: Path, scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mask that predict writes of it."""
    folder = tmp_path_factory.mktemp("predicted")
    predict.main(predict.Predict(model=str(run_dir), output_dir=str(folder), labels="laterality"), [str(scan)])
    return next(folder.glob("*.nii.gz"))


@pytest.fixture(scope="session")
def fake_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is loaded at once, for tests of what is around it."""
    root = tmp_path_factory.mktemp("fake") / "kits"
    save_fake_model(root)
    return root


@pytest.fixture
def new_user(url: str) -> Callable[[], User]:
    """Makes users."""
    return lambda: User(url)


@pytest.fixture
def user(new_user: Callable[[], User]) -> User:
    """One user."""
    return new_user()
