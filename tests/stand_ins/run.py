"""Runs of a ResultWriter without a pipeline: made-up frames are committed and made files of, and may be cut short."""

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from persamhq_video.config import make_config
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.output.result_writer import ResultWriter
from persamhq_video.output.run_directory import RunDirectory, WantedFiles
from persamhq_video.output.sinks import plan_sinks
from persamhq_video.output.snapshots import state_schema
from persamhq_video.protocols.result_sink import SinkVideo
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
    wanted = WantedFiles(
        tuple(plan.owners),
        labels=plan.keeps_labels,
        from_scores=frozenset(file for name in plan.writers for file in plan.files_of(name)),
    )
    decision = directory.decide(
        identity, **{"schema": state_schema(()), "overwrite": False, "no_resume": False, "wanted": wanted, **decide}
    )
    results = ResultWriter(plan, directory, identity=identity, state_types=(), pictures=pictures)
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
            directory.write_record({"status": "complete", "frames": {"committed": FRAMES}, **IDENTITY}, final=True)
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
    results._journal.close()
    results._directory.close()
    for video in results._videos.values():
        if video._segment is not None:
            video._segment._file.close()


def hashes(out):
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name not in {"run.json", "lock"})
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def start(out, *, until):
    _, directory, results = results_in(out)
    results.open()
    advance(results, range(until))
    return directory, results
