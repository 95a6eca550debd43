"""Results: a run that is killed anywhere and resumed leaves the bytes of one that was not."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from stand_ins.run import ALL, FRAMES, TICKS, VIDEOS_ONLY, hashes, pts_of, results_in, run

from persamhq_video.io import open_source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    run(out)
    return hashes(out)


def test_an_uninterrupted_run(tmp_path, whole):
    results = run(tmp_path / "out")
    assert hashes(tmp_path / "out") == whole
    masks = {f"masks/{index:05d}.png" for index in range(FRAMES)}
    assert set(whole) == masks | {"masks.mkv", "mattes/1.mp4", "mattes/2.mp4", "overlay.mp4", "scores.csv"}
    assert results.totals == {"frames_tracked": FRAMES, "frames_encoded": FRAMES, "attempts": 1}
    assert results.committed == FRAMES
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(record["files"]) == set(whole)
    assert results_in(tmp_path / "out")[0] == "done"
    times = [frame.pts * frame.time_base for frame in open_source(tmp_path / "out" / "overlay.mp4").frames()]
    assert times == [(pts_of(index) + 1000) * TICKS for index in range(FRAMES)]


@pytest.mark.parametrize("options", [ALL, VIDEOS_ONLY, {"outputs": ["mattes"], "matte_codec": "prores"}])
@pytest.mark.parametrize("cuts", [(1,), (15, 16, 17), (64,), (70, 100, 140), (63, 65, 127, 129, 149)])
def test_killed_and_resumed(tmp_path, options, cuts):
    run(tmp_path / "whole", options)
    begun = 0
    for cut in cuts:
        results = run(tmp_path / "cut", options, until=cut)
        begun += max(0, cut - results.next_index)
    last = run(tmp_path / "cut", options)
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    assert cuts[-1] - last.next_index <= 16
    total = begun + FRAMES - last.next_index
    assert last.totals == {"frames_tracked": total, "frames_encoded": total, "attempts": len(cuts) + 1}


@pytest.mark.parametrize("cut", range(3, FRAMES, 7))
def test_killed_anywhere(tmp_path, whole, cut):
    run(tmp_path, until=cut)
    results = run(tmp_path)
    assert results.next_index == cut // 16 * 16
    assert results.decode_from == cut // 16 * 16 // 64 * 64 or cut // 64 * 64 == results.next_index
    assert hashes(tmp_path) == whole


PLACES = [
    "persam_hq.io.atomic.commit",
    "persamhq_video.output.result_writer.Journal.commit",
    "persamhq_video.output.result_writer.ResultWriter._code",
    "persamhq_video.output.result_writer.Snapshots.save",
    "persamhq_video.io.writers.segmented_video._Segment.close",
    "persamhq_video.io.writers.segmented_video.write_video",
    "persamhq_video.io.writers.scores.ScoresWriter.close",
    "persamhq_video.output.run_directory.RunDirectory._remove_hidden",
    "persamhq_video.output.run_directory.shutil.rmtree",
]


def kill_at(place, calls, kill):
    """Let a function do its work so many times, and then end the run."""
    left = iter(range(calls))
    owner, _, name = place.rpartition(".")
    original = getattr(resolve(owner), name)

    def act(*args, **kwargs):
        if next(left, None) is None:
            kill()
        return original(*args, **kwargs)

    setattr(resolve(owner), name, act)


CHILD = """
import os, sys
from pathlib import Path
sys.path[:0] = {folders!r}
import test_result_writer
from stand_ins.run import run
if {place!r}:
    test_result_writer.kill_at({place!r}, {calls!r}, lambda: os._exit(9))
run(Path({out!r}))
"""


def child(out, *, place="", calls=0):
    here = Path(__file__).parent
    code = CHILD.format(folders=[str(here), str(here.parents[1])], out=str(out), place=place, calls=calls)
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "calls", [0, pytest.param(2, marks=pytest.mark.long), pytest.param(130, marks=pytest.mark.long)]
)
def test_killed_between_two_steps(tmp_path, whole, place, calls):
    with child(tmp_path, place=place, calls=calls) as process:
        assert process.wait() in {0, 9}
    check_whole_pngs(tmp_path)
    if results_in(tmp_path)[0] != "done":
        run(tmp_path)
    assert hashes(tmp_path) == whole


def resolve(dotted):
    import importlib

    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(dotted)


def check_whole_pngs(out):
    for path in out.glob("masks/*.png"):
        with Image.open(path) as picture:
            picture.load()


DAMAGE = {
    "torn ledger": lambda out: tear(out / ".persamhq" / "ledger.jsonl", 5),
    "ledger short by 30 lines": lambda out: tear(out / ".persamhq" / "ledger.jsonl", 9000),
    "torn snapshot": lambda out: tear(out / ".persamhq" / "state-00000095.pt", 40),
    "no snapshot": lambda out: [path.unlink() for path in (out / ".persamhq").glob("state-*")],
    "mask gone": lambda out: (out / "masks" / "00085.png").unlink(),
    "mask torn": lambda out: tear(out / "masks" / "00090.png", 30),
    "first mask gone": lambda out: (out / "masks" / "00000.png").unlink(),
    "segment torn": lambda out: tear(out / ".persamhq" / "segments" / "overlay.mp4" / "00000.packets", 3),
    "segments gone": lambda out: (out / ".persamhq" / "segments" / "masks.mkv" / "00000.packets").unlink(),
    "claims torn": lambda out: tear(out / ".persamhq" / "files", 8),
    "claims gone": lambda out: (out / ".persamhq" / "files").unlink(),
    "half files": lambda out: [(out / name).write_text("x") for name in (".masks.mkv.part", "masks/.00099.png.part")],
}


def tear(path, length):
    path.write_bytes(path.read_bytes()[:-length])


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_a_power_failure_may_leave(tmp_path, whole, damage):
    run(tmp_path, until=100)
    DAMAGE[damage](tmp_path)
    results = run(tmp_path)
    expected = {"torn snapshot": 80, "mask gone": 80, "no snapshot": 0, "first mask gone": 0, "mask torn": 80}
    assert damage == "ledger short by 30 lines" or results.next_index == expected.get(damage, 96)
    left = hashes(tmp_path)
    left.pop(".masks.mkv.part", None)
    assert left == whole


@pytest.mark.parametrize("mark", [20, 64, 110])
def test_a_process_that_is_killed(tmp_path, whole, mark):
    out = tmp_path / "out"
    for frame in (mark, mark + 20):
        with child(out) as process:
            while not (out / "masks" / f"{frame:05d}.png").exists():
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        check_whole_pngs(out)
    assert run(out).totals["attempts"] == 3
    assert hashes(out) == whole
