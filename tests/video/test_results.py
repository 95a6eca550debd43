"""Results: a run that is killed anywhere and resumed leaves the bytes of one that was not."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persamhq_video.config import make_config
from persamhq_video.endpoints import load_endpoints
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.io import open_source
from persamhq_video.ledger import Ledger
from persamhq_video.result_sink import SinkVideo
from persamhq_video.results import Results
from persamhq_video.rundir import RunDirectory
from persamhq_video.sink_plan import plan_sinks
from persamhq_video.snapshots import Snapshots
from persamhq_video.types import Frame, FrameResult, ObjectResult, SourceInfo

FRAMES = 150
SIZE = (36, 50)
TICKS = Fraction(1, 12800)
ALL = {"outputs": ["masks", "mask-video", "mattes", "overlay", "scores"]}
VIDEOS_ONLY = {"outputs": ["mask-video", "mattes"], "matte_codec": "ffv1"}
IDENTITY = {"config": {"model": "lite", "workers": 1}, "fingerprint": {}, "inputs": {"video": "x"}, "plugins": []}


def pts_of(index):
    return 512 * index + (index * index) % 400 - 1000


def frame_at(index):
    image = np.random.default_rng(index).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    return Frame(index=index, pts=pts_of(index), time_base=TICKS, image=image, name=f"{index:05d}")


def track(state, frame):
    """The next state and the result, that depend on all frames so far."""
    state = hashlib.sha256(state + frame.image.tobytes()).digest()
    labels = np.zeros(SIZE, np.uint8)
    labels[state[0] % 20 : state[0] % 20 + 8, 3:20] = 1
    labels[5 + state[1] % 20 :, 25 : 30 + state[2] % 20] = 2
    entries = tuple(
        ObjectResult(i, "present", state[i] / 255, 0.5, 0.75, area=int((labels == i).sum()), box=(0, 1, 2, 3))
        for i in (1, 2)
    )
    return state, FrameResult(frame.index, frame.pts, frame.time_base, frame.name, labels, entries)


def pictures():
    return map(frame_at, range(FRAMES))


def results_in(out, options=ALL, *, identity=IDENTITY, more=None, **decide):
    directory = RunDirectory(out)
    config = make_config(options)
    info = SourceInfo(Path("x"), "video", SIZE[1], SIZE[0], TICKS, Fraction(25), num_frames=FRAMES, rotation=0)
    sinks = {**load_endpoints().make_sinks(config.outputs), **(more or {})}
    plan = plan_sinks(sinks, SinkVideo(info, (1, 2), matte_codec=config.matte_codec))
    files = tuple(plan.owners)
    decision = directory.decide(identity, **{"overwrite": False, "no_resume": False, "files": files, **decide})
    results = Results(plan, directory, identity=identity, state_types=(), pictures=pictures)
    return decision, directory, results


def run(out, options=ALL, *, until=FRAMES):
    """What a pipeline does; ends without a word before frame `until`, if that is not the last."""
    decision, directory, results = results_in(out, options)
    assert decision != "done"
    try:
        results.open()
        directory.write_record({"status": "running", **IDENTITY}, final=False)
        for index in range(results.decode_from, results.next_index):
            results.replay(frame_at(index))
        advance(results, range(results.next_index, until))
        if until == FRAMES:
            results.finish()
            directory.write_record({"status": "complete", **IDENTITY}, final=True)
    finally:
        abandon(results)
    return results


def advance(results, indices):
    state = results.state or b""
    for index in indices:
        frame = frame_at(index)
        results.begun("encode", index)
        results.begun("track", index)
        state, result = track(state, frame)
        results.commit(frame, result)
        if index % 16 == 15:
            results.snapshot(index, state)


def abandon(results):
    """What the end of the process does: files are closed as they are; no more is written."""
    results._ledger.close()
    for video in results._videos.values():
        if video._segment is not None:
            video._segment._file.close()


def hashes(out):
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


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
    "persamhq_video.io.files.commit",
    "persamhq_video.results.Ledger.commit",
    "persamhq_video.results.Results._code",
    "persamhq_video.results.Snapshots.save",
    "persamhq_video.io.segments._Segment.close",
    "persamhq_video.io.segments.write_video",
    "persamhq_video.results.ScoresWriter.close",
    "persamhq_video.rundir.RunDirectory._remove_hidden",
    "persamhq_video.rundir.shutil.rmtree",
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
sys.path.insert(0, {folder!r})
import test_results
if {place!r}:
    test_results.kill_at({place!r}, {calls!r}, lambda: os._exit(9))
test_results.run(Path({out!r}))
"""


def child(out, *, place="", calls=0):
    code = CHILD.format(folder=str(Path(__file__).parent), out=str(out), place=place, calls=calls)
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "calls", [0, pytest.param(2, marks=pytest.mark.long), pytest.param(130, marks=pytest.mark.long)]
)
def test_killed_between_two_steps(tmp_path, whole, place, calls):
    with child(tmp_path, place=place, calls=calls) as process:
        process.wait()
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


def start(out, *, until):
    _, directory, results = results_in(out)
    results.open()
    advance(results, range(until))
    return directory, results


def test_a_failed_run_has_files_of_what_there_is_and_goes_on(tmp_path, whole):
    directory, results = start(tmp_path, until=70)
    results.stop(keep_going=True)
    directory.write_record({"status": "failed", **IDENTITY}, final=True)
    assert len(list(open_source(tmp_path / "masks.mkv").frames())) == 70
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 2 * 70
    record = json.loads((tmp_path / "run.json").read_text())
    assert {"masks.mkv", "overlay.mp4", "mattes/1.mp4", "scores.csv", "masks/00069.png"} <= set(record["files"])
    assert run(tmp_path).next_index == 64
    assert hashes(tmp_path) == whole


def test_an_interrupted_run_has_nothing_that_looks_complete(tmp_path, whole):
    directory, results = start(tmp_path, until=70)
    results.stop(keep_going=False)
    directory.write_record({"status": "interrupted", **IDENTITY}, final=True)
    visible = {name for name in hashes(tmp_path) if not name.startswith(".persamhq/")}
    assert visible == {f"masks/{index:05d}.png" for index in range(70)}
    assert run(tmp_path).next_index == 64
    assert hashes(tmp_path) == whole


def test_what_a_failed_run_made_is_gone_once_it_goes_on(tmp_path):
    directory, results = start(tmp_path, until=70)
    results.stop(keep_going=True)
    directory.write_record({"status": "failed", **IDENTITY}, final=True)
    run(tmp_path, until=90)
    assert not (tmp_path / "masks.mkv").exists()
    assert not (tmp_path / "scores.csv").exists()


def test_a_run_that_stops_before_its_first_frame(tmp_path):
    _, results = start(tmp_path, until=0)
    results.stop(keep_going=True)
    assert set(hashes(tmp_path)) == {".persamhq/files", ".persamhq/ledger.jsonl"}


def test_a_full_disk_is_told_and_what_is_committed_stays(tmp_path, whole):
    _, results = start(tmp_path, until=100)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        frame = frame_at(100)
        with pytest.raises(OutputError, match=r"cannot write to .*: File too large"):
            results.commit(frame, track(b"", frame)[1])
        with pytest.raises(OutputError, match=r"ledger.jsonl cannot be written"):
            results.begun("encode", 101)
        with pytest.raises(OutputError, match=r"cannot be written"):
            results.stop(keep_going=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in {".mkv", ".mp4", ".csv", ".part"}] == []
    assert run(tmp_path).next_index == 96
    assert hashes(tmp_path) == whole


def test_a_full_disk_at_the_end(tmp_path, whole):
    _, results = start(tmp_path, until=FRAMES)
    for video in results._videos.values():
        video.finish()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limit[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written"):
            results.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        results.stop(keep_going=False)
    assert not (tmp_path / "overlay.mp4").exists()
    run(tmp_path)
    assert hashes(tmp_path) == whole


def test_another_run_is_refused_by_the_ledger_alone(tmp_path):
    run(tmp_path, until=5)
    (tmp_path / "run.json").unlink()
    other = {**IDENTITY, "config": {"model": "vit_b", "workers": 1}, "inputs": {"video": "y"}}
    with pytest.raises(ConfigError, match=r"another run \(different: config.model, inputs.video\); use another --out"):
        results_in(tmp_path, identity=other)
    with pytest.raises(ConfigError, match="holds this run already, and no_resume is set"):
        results_in(tmp_path, no_resume=True)
    more_workers = {**IDENTITY, "config": {"model": "lite", "workers": 8}}
    assert results_in(tmp_path, identity=more_workers)[0] == "resume"


def test_overwriting_an_unfinished_run_starts_again(tmp_path, whole):
    run(tmp_path, until=90)
    (tmp_path / "notes.txt").write_text("mine")
    decision, directory, results = results_in(tmp_path, overwrite=True)
    assert decision == "run"
    results.open()
    assert set(hashes(tmp_path)) == {".persamhq/files", ".persamhq/ledger.jsonl", "notes.txt"}
    assert (results.next_index, results.totals["attempts"]) == (0, 1)
    advance(results, range(FRAMES))
    results.finish()
    directory.write_record({"status": "complete", **IDENTITY}, final=True)
    assert {name: digest for name, digest in hashes(tmp_path).items() if name != "notes.txt"} == whole


def test_a_run_that_is_going_on_is_left_alone(tmp_path):
    _, results = start(tmp_path, until=20)
    before = hashes(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="in use by another run"):
            results_in(tmp_path, overwrite=overwrite)[2].open()
    assert hashes(tmp_path) == before
    results.stop(keep_going=False)


def test_files_of_somebody_else_are_never_replaced(tmp_path):
    run(tmp_path, until=20)
    (tmp_path / "masks" / "00025.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"00025.png is there and no run wrote it"):
        run(tmp_path)
    assert (tmp_path / "masks" / "00025.png").read_bytes() == b"mine"


def test_a_snapshot_is_of_a_committed_frame(tmp_path):
    _, results = start(tmp_path, until=3)
    with pytest.raises(AssertionError, match="frame 3 is not committed"):
        results.snapshot(3, b"")
    with pytest.raises(AssertionError, match="got frame 7, expected 3"):
        results.commit(frame_at(7), track(b"", frame_at(7))[1])
    results.stop(keep_going=False)


def test_what_is_begun_counts_even_if_it_is_never_done(tmp_path):
    _, results = start(tmp_path, until=3)
    results.begun("encode", 3)
    abandon(results)
    ledger = Ledger(tmp_path / ".persamhq" / "ledger.jsonl")
    ledger.open(IDENTITY)
    assert ledger.begun == {"encode": 4, "track": 3}
    ledger.close()


def test_nothing_is_run_by_a_folder_of_somebody_else(tmp_path):
    run(tmp_path, until=40)
    import pickle

    target = tmp_path / "pwned"

    class Exploit:
        def __reduce__(self):
            return os.mkdir, (str(target),)

    content = pickle.dumps(Exploit())
    path = tmp_path / ".persamhq" / "state-00000031.pt"
    path.write_bytes(hashlib.sha256(content).digest() + content)
    assert run(tmp_path).next_index == 16
    assert not target.exists()
    assert list(Snapshots(tmp_path / ".persamhq", ()).newest_first()) == []
