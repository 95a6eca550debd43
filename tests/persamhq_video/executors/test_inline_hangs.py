"""Calls of this process that hang: told after --call-timeout, committed frames kept, the process able to end."""

import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from PIL import Image
from stand_ins.pool import HANG, StandInClient, StandInPool, once
from stand_ins.tracker import YELLOW

from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, HangError
from persamhq_video.executors import open_executor
from persamhq_video.executors.driver.worker_slot import AwakeClock
from persamhq_video.executors.factory import _pool
from persamhq_video.foreign import contained
from persamhq_video.io import open_source
from persamhq_video.job.prepare import make_job


class InlineStandIn(StandInPool):
    replaceable = False


@pytest.mark.parametrize(("kind", "index", "told"), [("begin", 0, 0), ("encode", 7, 6), ("track", 7, 7)])
def test_the_loop_tells_which_frame_hangs_and_with_what(run, kind, index, told):
    """The stand-in worker answers nothing any more; of the frames that wait for it the first one is told."""
    pool, client = InlineStandIn(size=1, fault=once((kind, index, HANG))), StandInClient(30)
    with pytest.raises(
        HangError, match=rf"^frame {told}: the prompt selector 'mine' \(plugin mine.py\) hangs: .* 20 s"
    ):
        run(pool, client, call_timeout=20)
    assert isinstance(client.endings[0], HangError)
    assert client.delivered == list(range(len(client.delivered)))
    assert len(client.delivered) <= max(index, 1)


@pytest.mark.usefixtures("stand_in")
def test_a_thread_that_hangs_is_not_waited_for(make_clip, labels):
    began, results = time.monotonic(), []
    job = make_job(make_config({"executor": "inline", "call_timeout": 0.5}))

    def track():
        with open_executor(job) as executor:
            results.extend(executor.stream(open_source(make_clip(trap=YELLOW)).frames(), labels))

    with pytest.raises(
        HangError, match=r"^frame 5: the stage track hangs: it took more than 0\.5 s \(--call-timeout\)"
    ):
        track()
    # The stand-in sleeps for an hour
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("stand_in")
def test_foreign_code_is_named(make_clip, labels, monkeypatch):
    from stand_ins import tracker

    def hang(pixel):
        if pixel == YELLOW:
            with contained("the mask refiner 'slow' (plugin slow.py)", lambda reason, error: error):
                time.sleep(3600)

    monkeypatch.setattr(tracker, "_misbehave", hang)
    job = make_job(make_config({"executor": "inline", "call_timeout": 0.5}))
    with open_executor(job) as executor:
        stream = executor.stream(open_source(make_clip(trap=YELLOW)).frames(), labels)
        assert [next(stream).result.index for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(HangError, match=r"^frame 5: the mask refiner 'slow' \(plugin slow\.py\) hangs"):
            next(stream)


def test_a_process_that_stood_still_hangs_not():
    now = [100.0]
    clock = AwakeClock(lambda: now[0])
    seconds = []
    for step in (0.5, 0.5, 3600.0, 0.5):
        now[0] += step
        seconds.append(clock())
    assert seconds == [0.5, 1.0, 11.0, 11.5]


@pytest.mark.parametrize("value", ["inf", "1e400", float("inf"), 1e300, 5e9])
def test_no_limit_is_a_limit_that_ray_can_count(value, stand_in):
    job = make_job(make_config({"executor": "ray", "workers": 1, "call_timeout": value}), builder=stand_in)
    timeout = _pool(job)._cluster.start_timeout
    assert timeout * 1000 < 2**63
    assert timeout >= 24 * 3600


@pytest.mark.parametrize("value", ["nan", "-1", "0", "-inf", ".nan", "soon"])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ConfigError, match=r"^option call_timeout: got "):
        make_config({"call_timeout": value})


def test_no_limit_is_written_as_text_that_can_be_read_again():
    written = make_config({"call_timeout": "inf"}).model_dump(mode="json")
    assert written["call_timeout"] == "inf"
    assert make_config(written).call_timeout == float("inf")
    assert make_config({}).model_dump(mode="json")["call_timeout"] == 600


@pytest.mark.slow
def test_the_command_ends_with_3_and_keeps_what_is_committed(tmp_path):
    """A selector that never comes back from its third frame."""
    frames, mask = tmp_path / "frames", np.zeros((48, 64), np.uint8)
    frames.mkdir()
    for index in range(5):
        Image.new("RGB", (64, 48), (40 * index, 90, 60)).save(frames / f"{index}.png")
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "hangs.py").write_text(
        textwrap.dedent("""
        from persam_hq.types import PromptSet
        from persamhq_video.plugin import hookimpl
        class Hangs:
            def __call__(self, prior, view, frame):
                while frame.index > 2: pass
                return PromptSet.from_points(positive=[[30.0, 20.0]])
        @hookimpl
        def persamhq_register_prompt_selectors(register): register.add("hangs", Hangs)
        """)
    )
    options = (
        "--outputs masks --plugin hangs.py --prompts hangs --mode chained --executor inline --call-timeout 5 --quiet"
    )
    command = [sys.executable, "-m", "persamhq_video", "run", "frames", "--mask", "mask.png", "--out", "out"]
    done = subprocess.run([*command, *options.split()], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "frame 3: the prompt selector 'hangs' (plugin hangs.py) hangs: it took more than 5 s" in line
    assert sorted(path.name for path in (tmp_path / "out/masks").iterdir()) == ["0.png", "1.png", "2.png"]
