"""The pipeline in one place: source -> encode -> track -> files, for one video or many.

`run_tasks` opens each video while the one before it runs, hands it to the executor as a `VideoRun`, and gathers how
each ended; `personalize_video` is the same for Python, with results instead of files.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam_hq.errors import error_line
from persam_hq.io.text.shown_text import redact_secrets
from persamhq_video.config import RunConfig, make_config
from persamhq_video.errors import OutputError, PersamHQVideoError, as_input_error, opening
from persamhq_video.events import Event, Listener
from persamhq_video.executors import open_executor
from persamhq_video.io import label_map_of
from persamhq_video.job.job import Job
from persamhq_video.job.outcome import Outcome
from persamhq_video.job.prepare import make_job, open_request, open_source_within_limit
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.job.tasks import VideoTask
from persamhq_video.output.run_directory import RunDirectory
from persamhq_video.pipeline.interrupts import Interrupts, SignalHandler
from persamhq_video.pipeline.video_plan import VideoPlan, plan_video
from persamhq_video.pipeline.video_run import VideoRun
from persamhq_video.types import FrameResult

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["personalize_video", "run_tasks", "run_video"]


def run_video(config: RunConfig, video: Path, mask: str | Path, out: Path, *, listener: Listener | None = None) -> None:
    """Run one video and leave its results in `out`, or go on with a run that is there.

    Whatever goes wrong is a PersamHQVideoError.
    """
    (outcome,) = run_tasks(config, [VideoTask(video, mask, out)], listener=listener)
    if outcome.error is not None:
        raise outcome.error


def run_tasks(
    config: RunConfig,
    tasks: Sequence[VideoTask],
    *,
    listener: Listener | None = None,
    at_second_interrupt: SignalHandler = signal.default_int_handler,
) -> list[Outcome]:
    """Run the videos of a job on one pool of workers; how each of them ended, in their order.

    What is wrong with the options, the model or the plugins is raised; what is wrong with a video is its outcome. An
    interrupt (SIGINT) ends every video where it is, ready to be resumed; a second one is handled by
    `at_second_interrupt`, by default with a KeyboardInterrupt.
    """
    notify = _serialised(listener)
    queue = _VideoQueue(make_job(config), tasks, notify)
    reason: BaseException = KeyboardInterrupt()
    with closing(queue.plans()) as plans:
        first = next(plans, None)
        if first is None:  # so no worker is started
            return queue.outcomes(reason)
        with Interrupts(at_second_interrupt) as interrupts, open_executor(queue.job) as executor:
            interrupts.executor = executor
            try:
                executor.run(queue.runs(chain([first], plans)))
            except (PersamHQVideoError, KeyboardInterrupt) as exc:
                reason = exc
            return queue.outcomes(reason)


def personalize_video(
    video: str | Path, *, mask: str | os.PathLike[str] | NDArray[Any] | Image, **options: Any
) -> Iterator[FrameResult]:
    """Follow the objects of `mask` through a video; results stream in frame order, the first frame's included.

    `mask` is an image file (or a folder or pattern, as for `--mask`), a picture of Pillow, or an array: (H, W) bool, or
    numbers as a mask file has them, or (H, W, 3) RGB; it is read as a file with the same pixels is. `options` are those
    of `persamhq-video run` (`model="lite"`, `executor="ray"`, `workers=2`, ...); those about output files have no
    effect. Nothing is written.
    """
    # The inputs, checked before a worker is started
    config = make_config(options)
    job = make_job(config)
    endpoints = load_endpoints(job.plugins, config.blocked_plugins)
    if isinstance(mask, str | os.PathLike):
        with opening(video):
            request = open_request(config, video, Path(mask), endpoints)
        source, first_masks, notes = request.source, request.first_masks, request.notes
    else:
        with opening(video):
            source = open_source_within_limit(config, video, endpoints)
        # A mask in memory has no name to put into a message
        with opening("the mask"):
            first_masks = label_map_of(mask, size=(source.info.height, source.info.width))
        notes = (*source.info.notes, *first_masks.notes)
    for note in notes:
        warnings.warn(note, stacklevel=2)

    # Leaving the generator early ends the workers too
    with open_executor(job) as executor, closing(executor.stream(source.frames(), first_masks.labels)) as stream:
        for tracked in stream:
            yield tracked.result


class _VideoQueue:
    """The videos of a job in their order; each is opened and compared with its folder while the one before it runs."""

    def __init__(self, job: Job, tasks: Sequence[VideoTask], notify: Listener) -> None:
        self.job, self._tasks, self._notify = job, tasks, notify
        self._early_outcomes: dict[int, Outcome] = {}
        self._runs: dict[int, VideoRun] = {}

    def plans(self) -> Generator[tuple[int, VideoPlan], None, None]:
        """The videos that there is something to do for, by number."""
        with ThreadPoolExecutor(1, thread_name_prefix="open") as pool:
            # One video ahead: more would hold more sources open than are of use
            coming = deque(pool.submit(self._plan, task) for task in self._tasks[:1])
            for number in range(len(self._tasks)):
                coming.extend(pool.submit(self._plan, later) for later in self._tasks[number + 1 : number + 2])
                plan = coming.popleft().result()
                if isinstance(plan, Outcome):
                    self._early_outcomes[number] = plan
                else:
                    yield number, plan

    def runs(self, planned: Iterable[tuple[int, VideoPlan]]) -> Iterator[VideoRun]:
        """The runs of planned videos, each begun when it is asked for."""
        for number, plan in planned:
            task = self._tasks[number]
            try:
                run = VideoRun(task, plan, self._notify)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the other videos go on
                error = OutputError(f"{task.video}: its run cannot begin: {error_line(exc)}")
                self._notify(Event("failed", str(task.video), message=str(error)))
                self._early_outcomes[number] = Outcome(task, "failed", reason=str(error), error=error)
                continue
            self._runs[number] = run
            yield run

    def outcomes(self, reason: BaseException) -> list[Outcome]:
        """How each video ended, once all files are written; `reason` is why the rest were never started."""
        joined = {number: run.join() for number, run in self._runs.items()}
        known = {**self._early_outcomes, **joined}
        return [known.get(number) or _never_started(task, reason) for number, task in enumerate(self._tasks)]

    def _plan(self, task: VideoTask) -> VideoPlan | Outcome:
        """Open a video and compare it with its folder; an outcome where there is nothing to do, or nothing can be."""
        try:
            plan = self._open(task)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it is, the other videos go on
            error = exc if isinstance(exc, PersamHQVideoError) else as_input_error(exc, task.video)
            self._notify(Event("refused", str(task.video), message=str(error)))
            return Outcome(task, "refused", reason=str(error), error=error)
        if plan.is_done:
            self._notify(Event("already-complete", str(task.video), message=str(task.out)))
            return Outcome(task, "already complete")
        return plan

    def _open(self, task: VideoTask) -> VideoPlan:
        config = self.job.config.for_video(task.options)
        directory = RunDirectory(task.out)
        directory.check_place()
        request = open_request(config, task.video, task.mask, load_endpoints(self.job.plugins, config.blocked_plugins))
        plan = plan_video(self.job.for_video(config), request, directory)
        for note in request.notes:
            self._notify(Event("note", str(task.video), message=note))
        return plan


def _never_started(task: VideoTask, reason: BaseException) -> Outcome:
    if isinstance(reason, KeyboardInterrupt):
        return Outcome(task, "interrupted", error=reason)
    return Outcome(task, "failed", reason=str(reason), error=reason)


def _serialised(listener: Listener | None) -> Listener:
    """A listener that is called by one thread at a time, as videos report from several; it is told no secrets."""
    lock = threading.Lock()

    def notify(event: Event) -> None:
        if listener is not None:
            with lock:
                message = None if event.message is None else redact_secrets(event.message)
                listener(replace(event, video=redact_secrets(event.video), message=message))

    return notify
