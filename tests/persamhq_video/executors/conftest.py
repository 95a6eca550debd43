"""What tests of executors share."""

import pytest
from stand_ins.pool import follow


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs clients on a pool until all of them have ended."""
    return lambda pool, *clients, **options: follow(monkeypatch, pool, *clients, **options)
