"""Fixtures of the executors' tests."""

import pytest
from stand_ins.pool import run_clients


@pytest.fixture
def run():
    """Return a function that runs clients on a pool until all of them have ended."""
    return run_clients
