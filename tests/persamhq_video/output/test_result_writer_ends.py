"""Results of runs that fail, are stopped, or find the disk full or somebody else's files."""

import hashlib
import json
import os
import resource

import pytest
from stand_ins.run import FRAMES, IDENTITY, abandon, advance, frame_at, hashes, results_in, run, start, track

from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.io import open_source
from persamhq_video.output.journal import Journal
from persamhq_video.output.snapshots import Snapshots


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    run(out)
    return hashes(out)


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
        abandon(results)
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
        abandon(results)
    assert not (tmp_path / "overlay.mp4").exists()
    run(tmp_path)
    assert hashes(tmp_path) == whole


def test_another_run_is_refused_by_the_journal_alone(tmp_path):
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
    journal = Journal(tmp_path / ".persamhq" / "ledger.jsonl")
    journal.open(IDENTITY, schema="")
    assert journal.begun == {"encode": 4, "track": 3}
    journal.close()


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
