"""The chain in one place: source -> encode -> track -> files, for one video or several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persamhq_video.config import RunConfig, make_config
from persamhq_video.errors import DecodeError, InputError, PersamHQVideoError
from persamhq_video.events import Event, Listener, Pace
from persamhq_video.executors import Executor, Tracked, open_executor
from persamhq_video.io import open_source, read_first_masks
from persamhq_video.outcome import Ending, Outcome
from persamhq_video.plan import VideoPlan, make_job, open_request, output_folders, plan_video
from persamhq_video.plugin.manager import load_registry
from persamhq_video.record import RunRecord, Status
from persamhq_video.sinks import Sinks
from persamhq_video.tasks import VideoTask
from persamhq_video.types import Frame, FrameResult

__all__ = ["personalize_video", "run_tasks", "run_video", "run_videos"]


def run_video(config: RunConfig, video: Path, mask: str | Path, out: Path, *, listener: Listener | None = None) -> None:
    """Run one video and leave its results in `out`; whatever goes wrong is a PersamHQVideoError."""
    failures = run_videos(config, [video], mask, out, listener=listener)
    if failures:
        raise failures[0]


def run_tasks(config: RunConfig, tasks: Sequence[VideoTask], *, listener: Listener | None = None) -> list[Outcome]:
    """Run the videos of a job; how each of them ended, in their order.

    What is wrong with the options, the model or the plugins is raised; what is wrong with a video is its outcome.
    """
    make_job(config)
    outcomes: list[Outcome] = []
    for task in tasks:
        outcomes.append(_run_task(config, task, listener or _ignore))
        if outcomes[-1].status == "interrupted":
            outcomes += [Outcome(rest, "interrupted") for rest in tasks[len(outcomes) :]]
            break
    return outcomes


def _run_task(config: RunConfig, task: VideoTask, notify: Listener) -> Outcome:
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        notify(event)

    began = time.perf_counter()
    try:
        failures = run_videos(config.for_video(task.options), [task.video], task.mask, task.out, listener=listen)
    except PersamHQVideoError as exc:
        failures = [exc]
        notify(Event("refused", str(task.video), message=str(exc)))
    except KeyboardInterrupt:
        return Outcome(task, "interrupted", frames=_frames(events))
    if events and events[-1].event == "already-complete":
        return Outcome(task, "already complete")
    seconds, frames = time.perf_counter() - began, _frames(events)
    if failures:
        status: Ending = "refused" if failures[0].exit_code == InputError.exit_code else "failed"
        return Outcome(task, status, frames, seconds, reason=str(failures[0]))
    return Outcome(task, "complete", frames, seconds, frames / seconds)


def _frames(events: Sequence[Event]) -> int:
    return max((event.frame for event in events), default=0)


def run_videos(
    config: RunConfig,
    videos: Sequence[Path],
    mask: str | Path,
    out: Path,
    *,
    listener: Listener | None = None,
) -> list[PersamHQVideoError]:
    """Run several videos one after the other; the errors of those that could not be completed.

    What is wrong with the options or with any of the files is raised before the first video begins.
    """
    notify = listener or _ignore
    directories = output_folders(videos, out)
    requests = [open_request(config, video, mask) for video in videos]
    job = make_job(config)
    plans = [plan_video(job, request, place) for request, place in zip(requests, directories, strict=True)]

    pending: list[VideoPlan] = []
    for plan in plans:
        if plan.is_done:
            notify(Event("already-complete", str(plan.request.video), message=str(plan.directory.path)))
        else:
            pending.append(plan)
    failures: list[PersamHQVideoError] = []
    while pending:
        # A video that fails may take workers with it, so the next one gets new ones.
        with open_executor(job) as executor:
            failures += _run_until_failure(executor, pending, notify)
    return failures


def personalize_video(
    video: str | Path, *, mask: str | Path | NDArray[np.uint8], **options: Any
) -> Iterator[FrameResult]:
    """Follow the objects of `mask` through a video; results stream in frame order, the first frame's included.

    `mask` is an image file or a label map (H, W) uint8. `options` are those of `persamhq-video run` (`model="lite"`,
    `executor="ray"`, `workers=2`, ...); those about output files have no effect. Nothing is written.
    """
    config = make_config(options)
    source = open_source(video, reader=config.reader, start=config.start, end=config.end, stride=config.stride)
    size = (source.info.height, source.info.width)
    labels = mask if isinstance(mask, np.ndarray) else read_first_masks(Path(mask), size=size).labels
    if labels.shape != size or labels.dtype != np.uint8 or not labels.any():
        raise InputError(f"got a mask {labels.shape} {labels.dtype}; expected {size} uint8 with at least one object")
    with open_executor(make_job(config)) as executor, closing(executor.stream(source.frames(), labels)) as stream:
        for tracked in stream:
            yield tracked.result


def _run_until_failure(executor: Executor, pending: list[VideoPlan], notify: Listener) -> Iterator[PersamHQVideoError]:
    """Run videos and take them off the list; stops after the first one that fails, and gives its error."""
    while pending:
        plan = pending.pop(0)
        try:
            _run_plan(executor, plan, notify)
        except PersamHQVideoError as exc:
            notify(Event("failed", str(plan.request.video), message=str(exc)))
            yield exc
            return


def _run_plan(executor: Executor, plan: VideoPlan, notify: Listener) -> None:
    record = RunRecord(plan)
    frames = _timed(plan.request.source.frames(), record)
    with closing(executor.stream(frames, plan.request.first_masks.labels)) as stream:
        try:
            first = _first_result(stream)
            plan.directory.open()
            plan.directory.write_record(record.content("running"), final=False)
            _write_all(plan, chain([first], stream), record, notify)
        except PersamHQVideoError as exc:
            if exc.exit_code != InputError.exit_code:
                _finish(plan, record, "failed", failure=exc)
            raise
        except KeyboardInterrupt:
            if plan.directory.is_open:
                _finish(plan, record, "interrupted")
            raise
    record.usage = executor.usage()
    _finish(plan, record, "complete")
    notify(Event("complete", str(plan.request.video), record.committed, record.committed))


def _write_all(plan: VideoPlan, stream: Iterator[Tracked], record: RunRecord, notify: Listener) -> None:
    source = plan.request.source
    pace = Pace(str(plan.request.video), source.num_selected)
    notify(pace.event("started", 0))
    object_ids = plan.request.first_masks.ids
    with Sinks(plan.job.config, plan.directory, info=source.info, object_ids=object_ids) as sinks:
        for tracked in stream:
            with record.stage("write"):
                sinks.write(tracked.frame, tracked.result)
            record.committed += 1
            notify(pace.event("frame", record.committed))


def _finish(plan: VideoPlan, record: RunRecord, status: Status, *, failure: PersamHQVideoError | None = None) -> None:
    """Write the last run.json, and tell the plugins that observe runs."""
    if not plan.directory.is_open:
        plan.directory.open()
    content = record.content(status, failure=failure)
    plan.directory.write_record(content, final=True)
    load_registry(plan.job.plugins).run_finished(plan.directory.path, content)


def _first_result(stream: Iterator[Tracked]) -> Tracked:
    """What stops the very first frame is found before anything is tracked."""
    try:
        return next(stream)
    except DecodeError as exc:
        raise InputError(str(exc)) from exc


def _timed(frames: Iterator[Frame], record: RunRecord) -> Iterator[Frame]:
    """The same frames, with the time that decoding takes counted."""
    while True:
        with record.stage("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _ignore(event: Event) -> None:
    del event
