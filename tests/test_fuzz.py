"""Broken input of every kind ends as it should: `scripts/fuzz` on a sample."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.long
def test_broken_inputs_end_in_time_with_a_line_and_a_code_of_the_table():
    command = [sys.executable, str(ROOT / "scripts" / "fuzz"), "--inputs", "90", "--seed", "1"]
    run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "90 inputs, 0 wrong" in run.stdout
