"""A run that is really killed, and goes on as if it had not been: the same figures to the last digit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from stand_ins.training import HQ_STAGE, SAM_STAGE, sam_config, tiny_sam_training

from persam_hq.errors import InputError
from persam_hq.training.curves import read_curves

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
STEPS, AFTER = 80, 50
LATEST = STEPS - AFTER


def start(folder, *, save_every_seconds):
    command = [sys.executable, str(TESTS / "stand_ins/training.py"), str(folder), str(STEPS), str(save_every_seconds)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
    return subprocess.Popen(command, env=environment)


def finish(folder):
    with start(folder, save_every_seconds=1000) as process:
        assert process.wait(timeout=200) == 0


def kill_at(folder, step):
    """SIGKILL as soon as so many steps are logged; the last of them need not be saved."""
    with start(folder, save_every_seconds=0.05) as process:
        deadline = time.monotonic() + 200
        while logged(folder) < step and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def logged(folder):
    curves = folder / "curves.jsonl"
    return curves.read_bytes().count(b"\n") if (folder / "state.pt").exists() and curves.exists() else 0


def figures(folder):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in read_curves(folder / "curves.jsonl")]


def test_a_killed_run_gives_the_same_numbers_to_the_last_digit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with start(whole, save_every_seconds=1000) as uninterrupted:
        kill_at(killed, 3)
        assert logged(killed) < LATEST, "killed too late to leave 50 steps"
        finish(killed)
        assert uninterrupted.wait(timeout=200) == 0
    assert [record["step"] for record in figures(killed)] == list(range(1, STEPS + 1))
    assert figures(killed) == figures(whole)
    weights = [load_file(folder / "ema.safetensors") for folder in (whole, killed)]
    assert all(bool((value == weights[1][name]).all()) for name, value in weights[0].items())


def test_a_run_does_not_go_on_from_other_parts_to_train(tmp_path):
    tiny_sam_training(sam_config(stages=[SAM_STAGE | {"steps": 1}]), tmp_path).run()
    with pytest.raises(InputError, match=r"state.pt is of a run with other weights to start from or other parts"):
        tiny_sam_training(sam_config(stages=[HQ_STAGE]), tmp_path)


def test_a_run_does_not_go_on_from_other_weights(tmp_path):
    config = sam_config(stages=[HQ_STAGE | {"steps": 1}])
    training = tiny_sam_training(config, tmp_path)
    training.run()
    training.recipe.foundation = "another"
    training.save()
    with pytest.raises(InputError, match=r"name another folder with --out, or remove this one"):
        tiny_sam_training(config, tmp_path)
