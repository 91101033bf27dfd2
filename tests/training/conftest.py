"""Fixtures of training: what the library logs."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The package's log messages during a test."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, collector = logging.getLogger("kits_tf"), Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(collector)
    logger.setLevel(level)
