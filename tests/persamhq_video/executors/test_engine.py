"""The same bytes however the work is spread, killed and resumed; each run is a process of its own."""

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from proofs import engine as engine_proof
from proofs.engine import ALL_VARIANTS, FRAMES_AHEAD, MAX_UNSAVED_FRAMES, Clip
from stand_ins import tracker as stand_in_tracker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stand_in_process")]

FRAMES = 45
INLINE = ("--executor", "inline", "--workers", "2")
RAY = ("--executor", "ray", "--workers", "2")


@pytest.fixture
def small(make_clip, mask):
    """Two objects."""
    return Clip(make_clip("small", frames=FRAMES), mask)


@pytest.fixture
def three(small, tmp_path, make_clip):
    """Clips with two objects and with one, and one that is a part of a longer video."""
    labels = (np.array(Image.open(small.mask)) == 1).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "one.png")
    one = Clip(make_clip("one", frames=FRAMES + 30), tmp_path / "one.png")
    part = dataclasses.replace(one, options=("--end", "20"))
    return {"two objects": small, "one object": one, "a part": part}


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture
def expected(small, tmp_path, known):
    """Of the small clip, which has the same bytes in every test."""
    if not known:
        known.update(engine_proof.inline(small, tmp_path / "expected").hashes)
    return known


def record_of(out):
    return json.loads((out / "run.json").read_text())


def finish(clip, out, *options):
    """Go on with a run to its end."""
    engine_proof._expect_success(engine_proof.start(clip, out, *options))
    return engine_proof.collect(out)


def test_a_driver_that_is_killed(small, expected, tmp_path):
    run = engine_proof.driver_killed(3, 5, *INLINE)(small, tmp_path / "out")
    assert run.hashes == expected
    assert run.masks_seen > 0
    assert run.num_repeated("track") <= 3 * MAX_UNSAVED_FRAMES
    assert run.num_repeated("encode") <= 3 * (2 * 2 + MAX_UNSAVED_FRAMES + 1)


def test_workers_that_are_killed(small, expected, tmp_path):
    run = engine_proof.workers_killed(3, 1)(small, tmp_path / "out")
    assert run.hashes == expected
    assert run.kills > 0


@pytest.mark.long
def test_only_events_are_printed_when_a_worker_dies(small, tmp_path):
    """Ray tells of it on standard output; that goes elsewhere."""
    process = engine_proof.start(small, tmp_path / "out", *RAY)
    engine_proof.wait_for_frame(process, 3)
    os.kill(engine_proof.find_workers(process.pid)[0], signal.SIGKILL)
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert {json.loads(line)["event"] for line in lines} == {"frame", "complete"}


def test_a_run_goes_on_without_the_reader_of_its_events(small, tmp_path):
    process = engine_proof.start(small, tmp_path / "out", *INLINE, stderr=subprocess.PIPE)
    engine_proof.wait_for_frame(process, 3)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert errors == ""
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "complete"


@pytest.mark.parametrize("options", [INLINE, pytest.param(RAY, marks=pytest.mark.long)], ids=["inline", "ray"])
def test_an_interrupt_from_the_keyboard(small, expected, tmp_path, options):
    """It reaches every process of the terminal, as the keyboard's does."""
    out = tmp_path / "out"
    process = engine_proof.start(small, out, *options, stderr=subprocess.PIPE, start_new_session=True)
    engine_proof.wait_for_frame(process, 10)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    # Python itself ends by the signal where it comes during its own shutdown; a shell shows 130 for both.
    assert process.returncode in {130, -signal.SIGINT}
    assert errors == "persamhq-video: interrupted; the same command again goes on from here\n"
    assert record_of(out)["status"] == "interrupted"
    run = finish(small, out, *options)
    assert run.hashes == expected
    assert run.num_repeated("track") <= 2


@pytest.mark.parametrize("options", [INLINE, pytest.param(RAY, marks=pytest.mark.long)], ids=["inline", "ray"])
def test_two_interrupts_end_at_once(make_clip, mask, tmp_path, options):
    """Also where a frame hangs."""
    clip = Clip(make_clip(trap=stand_in_tracker.YELLOW), mask)
    process = engine_proof.start(clip, tmp_path / "out", *options, stderr=subprocess.PIPE, start_new_session=True)
    engine_proof.wait_for_frame(process, 5)
    os.killpg(process.pid, signal.SIGINT)
    for _ in range(30):
        try:
            process.wait(timeout=1)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=5)
    # Python itself ends by the signal where it comes during its own shutdown; a shell shows 130 for both.
    assert process.returncode in {130, -signal.SIGINT}


@pytest.mark.long
def test_a_cluster_that_is_gone(small, expected, tmp_path, monkeypatch):
    """What Ray left noted of it does not matter."""
    # Ray's sockets have short names only.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        note = Path(folder) / "ray" / "ray_current_cluster"
        note.parent.mkdir()
        note.write_text("127.0.0.1:1")
        monkeypatch.setenv("RAY_TMPDIR", folder)
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
        assert engine_proof.on_ray(2)(small, tmp_path / "out").hashes == expected


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["two objects", "one object", "a part"])
def test_every_variant(three, tmp_path, name):
    runs = {variant: run(three[name], tmp_path / variant) for variant, run in ALL_VARIANTS.items()}
    expected = runs["inline"].hashes
    assert {variant for variant, run in runs.items() if run.hashes != expected} == set()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("options", "ahead"), [(INLINE, 4), (RAY, 2 * FRAMES_AHEAD)], ids=["inline", "ray"])
@pytest.mark.parametrize("mode", ["chained", "independent"])
def test_a_kill_costs_little(small, tmp_path, options, ahead, mode):
    """Each kill is of a run of its own, so that what it cost is seen."""
    clip = dataclasses.replace(small, options=("--mode", mode))
    for seed in range(5):
        run = engine_proof.driver_killed(1, seed, *options)(clip, tmp_path / str(seed))
        assert run.num_repeated("track") <= MAX_UNSAVED_FRAMES
        assert run.num_repeated("encode") <= ahead + MAX_UNSAVED_FRAMES + 1


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_mask_is_ever_torn(three, tmp_path):
    clip = three["one object"]
    run = engine_proof.driver_killed(20, 3, *INLINE)(clip, tmp_path / "out")
    assert run.masks_seen > 20
    assert run.hashes == engine_proof.inline(clip, tmp_path / "expected").hashes


@pytest.mark.long
def test_a_node_that_is_removed(small, expected, tmp_path, monkeypatch):
    """States are too large to travel with an answer, so the newest one is lost with its node."""
    monkeypatch.setenv("STAND_IN_BYTES", "300000")
    out = tmp_path / "out"
    with engine_proof.nodes(2) as cluster:
        process = engine_proof.start(small, out, *RAY, "--address", cluster.address)
        assert engine_proof.wait_for_frame(process, 10)
        cluster.remove_node(min(cluster.worker_nodes, key=lambda node: node.node_id), allow_graceful=False)
        engine_proof._expect_success(process)
    assert engine_proof.collect(out).hashes == expected


@pytest.mark.long
@pytest.mark.parametrize("name", ["BLUE", "WHITE", "YELLOW"])
def test_a_frame_that_is_at_fault_ends_its_video_alone(make_clip, mask, tmp_path, name):
    """It kills its worker while it is tracked, while it is encoded, or never ends."""
    bad, good = make_clip("bad", frames=12, trap=getattr(stand_in_tracker, name)), make_clip("good", frames=30)
    out = tmp_path / "out"
    command = [engine_proof.sys.executable, engine_proof.__file__, "run", str(bad), str(good), "--mask", str(mask)]
    # The workers have this time to start too, which on a busy machine is more than a few seconds.
    command += ["--out", str(out), *RAY, "--call-timeout", "20", "--quiet"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 3, ended.stderr
    failure = record_of(out / "bad")["failure"]
    assert "frame 5: its worker died or hung 3 times" in failure["reason"]
    assert failure["frame"] == 5
    assert len(list((out / "bad" / "masks").iterdir())) == 5
    assert record_of(out / "good")["status"] == "complete"


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full(small, expected, tiny_disk):
    """The run fails, and goes on once there is room."""
    out = tiny_disk / "out"
    process = engine_proof.start(small, out, *INLINE, stderr=subprocess.PIPE)
    _, errors = process.communicate()
    assert process.returncode == 3
    assert "No space left on device" in errors
    subprocess.run(["mount", "-o", "remount,size=100m", str(tiny_disk)], check=True)
    before = engine_proof.open_masks(out)
    run = finish(small, out, *INLINE)
    assert run.hashes == expected
    assert run.record["counts"]["attempts"] == 2
    assert run.num_repeated("track") <= MAX_UNSAVED_FRAMES
    assert before > 0
