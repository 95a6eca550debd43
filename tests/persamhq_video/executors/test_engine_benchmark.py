"""The stand-in of `scripts/benchmarks/run.py engine`: workers that sleep, without torch, in the order of the frames."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import engine

    return engine


def test_a_worker_needs_no_torch():
    code = "import sys, persamhq_video.executors.workers.ray_pool; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_workers_that_sleep(benchmark):
    job = benchmark.SleepingJob(encode_seconds=0.02, track_seconds=0.001)
    speeds = list(benchmark.measure_sleeping(job, workers=2, videos=(1, 4), seconds=0.5))
    assert [(speed.workers, speed.videos) for speed in speeds] == [(2, 1), (2, 4)]
    assert [speed.ideal for speed in speeds] == pytest.approx([2 / 0.021] * 2)
    assert all(speed.frames_per_second > 0 for speed in speeds)


def test_the_rate_leaves_out_what_was_before(benchmark):
    assert benchmark.rate([0, 0.1, 5, 6, 7], since=4) == pytest.approx(1)
    assert benchmark.rate([0, 5], since=4) == 0
