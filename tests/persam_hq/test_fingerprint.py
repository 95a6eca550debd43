"""One math thread gives the same bits in every process and in every Python thread."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("fingerprint_probe.py")
ROOTS = [str(PROBE.parents[2]), str(PROBE.parents[1])]


def digests(*, threads):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(ROOTS)}
    command = [sys.executable, str(PROBE), str(threads)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.slow
def test_two_processes_and_two_threads_agree_to_the_bit():
    alone, together = digests(threads=1), digests(threads=2)
    assert len(alone) == 1
    assert len(together) == 2
    assert {*alone, *together} == {alone[0]}
