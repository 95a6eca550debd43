"""The run of one video: a client of the executor, with a thread of its own that writes the results.

The scheduler's thread calls most methods and must not wait, so results are queued as commands for the writing thread.
The first thing that goes wrong is kept as `failure`, which the scheduler asks for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from persam_hq.errors import PersamHQError, error_line
from persamhq_video.errors import ConfigError, DecodeError, ExecutorError, InputError, OutputError, PersamHQVideoError
from persamhq_video.events import Event, Listener, ProgressMeter
from persamhq_video.executors import CallKind, Continuation, TotalUsage, Tracked
from persamhq_video.foreign import TimedThread
from persamhq_video.io import FrameSource
from persamhq_video.job.outcome import Outcome
from persamhq_video.job.tasks import VideoTask
from persamhq_video.output.result_writer import ResultWriter
from persamhq_video.pipeline.run_record import RunRecord, Status
from persamhq_video.pipeline.video_plan import VideoPlan
from persamhq_video.plugin.manager import load_registry
from persamhq_video.types import Frame

__all__ = ["VideoRun"]

_MAX_QUEUED_REPLAYS: Final = 4
"""Frames read again for an unfinished segment that may wait to be coded: a whole segment would fill the memory."""

Command = Callable[[], None]


class VideoRun:
    """See Client. Nothing is on the disk before the first frame is decoded and its masks are accepted."""

    def __init__(self, task: VideoTask, plan: VideoPlan, notify: Listener) -> None:
        request = plan.request
        self.labels = request.first_masks.labels
        self.source: FrameSource | None = request.source
        self.continuation: Continuation | None = None
        self.failure: BaseException | None = None
        self.outcome: Outcome | None = None
        self._task, self._plan, self._notify = task, plan, notify
        self._record = RunRecord(plan)
        self._progress = ProgressMeter(str(request.video), request.source.num_selected)
        self._results = ResultWriter(
            plan.sinks,
            plan.directory,
            identity=plan.identity,
            state_types=plan.job.builder.state_types,
            pictures=request.source.frames,
            call_timeout=plan.job.config.call_timeout,
        )

        # Results go through a queue to the writing thread; its length is the backlog
        self._is_open = False
        self._num_decoded = 0
        self._content: dict[str, Any] = {}
        self._last_error: BaseException | None = None
        self._begun_early: list[tuple[CallKind, int]] = []
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._queued = 0
        self._queue_shrank = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="write", daemon=True)
        self._thread.start()

        # A resumed run says where it goes on before the scheduler asks for its first frame
        if plan.directory.decision in {"resume", "remake"}:
            self._open()
            if self._results.next_index:
                self.continuation = Continuation(self._results.next_index, self._results.state)

    def frames(self) -> Iterator[Frame]:
        """See Client: what is committed already is decoded again only for a segment that was not finished."""
        self._record.begin()
        source = self._plan.request.source.frames()

        # Frame 0 always comes; committed frames are replayed for unfinished segments, the rest are to be tracked
        first, following = self._results.decode_from, self._results.next_index
        while True:
            with self._record.stage("decode"):
                frame = self._next(source)
            if frame is None:
                return
            if first <= frame.index < following:
                self._replay(frame)
            if frame.index == 0 or frame.index >= following:
                yield frame

    def _next(self, source: Iterator[Frame]) -> Frame | None:
        """The next frame of the source; what it did not raise as an error of ours becomes one."""
        try:
            frame = next(source, None)
        except PersamHQVideoError:
            raise
        except Exception as exc:
            video, index = self._plan.request.video, self._num_decoded
            raise DecodeError(f"{video}: frame {index} cannot be read ({error_line(exc)})", frame=index) from exc
        self._num_decoded += 1
        return frame

    def begun(self, kind: CallKind, index: int) -> None:
        """See Client."""
        if self._is_open:
            with self._keeping_failure():
                self._results.begun(kind, index)
        else:
            self._begun_early.append((kind, index))

    def deliver(self, tracked: Tracked) -> None:
        """See Client."""
        if not self._is_open:
            self._open()

        def commit() -> None:
            with self._record.stage("write"):
                self._results.commit(tracked.frame, tracked.result)
            self._record.committed = self._results.committed
            self._notify(self._progress.event("frame", self._results.committed))

        self._enqueue(commit)

    def snapshot(self, index: int, state: Any) -> None:
        """See Client."""
        self._enqueue(lambda: self._results.snapshot(index, state))

    @property
    def safe_until(self) -> int:
        """See Client."""
        return self._results.safe_until

    @property
    def backlog(self) -> int:
        """See Client."""
        with self._queue_shrank:
            return self._queued

    def ended(self, usage: TotalUsage, error: BaseException | None) -> None:
        """See Client; the files are finished in the thread, see `join`."""
        self._record.usage = usage
        self._last_error = error
        self._commands.put(None)

    def join(self) -> Outcome:
        """Wait until everything is on the disk; how the video ended."""
        self._thread.join()
        assert self.outcome is not None
        return self.outcome

    def _open(self) -> None:
        with self._keeping_failure():
            self._results.open()
            self._is_open = True
            self._record.committed = self._results.committed
            for kind, index in self._begun_early:
                self._results.begun(kind, index)
            self._plan.directory.write_record(self._record.content("running"), final=False)
            self._notify(self._progress.event("started", self._results.committed, message=self._plan.directory.note))

    def _replay(self, frame: Frame) -> None:
        with self._queue_shrank:
            self._queue_shrank.wait_for(lambda: self._queued < _MAX_QUEUED_REPLAYS)
        self._enqueue(lambda: self._results.replay(frame))

    def _enqueue(self, command: Command) -> None:
        with self._queue_shrank:
            self._queued += 1
        self._commands.put(command)

    def _write(self) -> None:
        """The writing thread: carry out the commands in order; after a failure only the end."""
        while (command := self._commands.get()) is not None:
            if self.failure is None:
                with self._keeping_failure(BaseException):
                    command()
            with self._queue_shrank:
                self._queued -= 1
                self._queue_shrank.notify_all()
        self._end(self._last_error)

    def _end(self, error: BaseException | None) -> None:
        """Finish the files and the record; whatever fails here, the video has its outcome. The first error counts."""
        error = _as_ours(self.failure or error, ExecutorError)
        late: BaseException | None = None
        if self._is_open:
            # The files, then the record of them
            if error is None:
                error = self._error_of(self._make_files)
            else:
                self._error_of(partial(self._stop, error))
            unwritten = self._error_of(partial(self._write_final_record, error))
            error = error or unwritten
            # Last those who observe: what goes wrong there changes nothing about the files
            late = self._error_of(self._call_observers)
            if error is None:
                late = late or self._error_of(self._tell_complete)
        self._plan.directory.close()
        self.outcome = self._outcome(error, late)

    @staticmethod
    def _error_of(step: Command) -> BaseException | None:
        """Take a step of the end; what went wrong in it, as an error of ours."""
        try:
            step()
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the video has to have its outcome
            return _as_ours(exc, OutputError)
        return None

    def _make_files(self) -> None:
        try:
            self._results.finish()
        except BaseException:
            self._results.stop(keep_going=False)
            raise

    def _stop(self, error: BaseException) -> None:
        # Whoever interrupts a live source has seen enough of it, and wants the files of what there is
        ends_live = isinstance(error, KeyboardInterrupt) and self._plan.request.source.info.is_live
        self._results.stop(keep_going=ends_live or isinstance(error, DecodeError | ExecutorError))

    def _write_final_record(self, error: BaseException | None) -> None:
        statuses: dict[bool, Status] = {True: "complete", False: "failed"}
        status: Status = "interrupted" if isinstance(error, KeyboardInterrupt) else statuses[error is None]

        # An interrupt is no failure: its status says it all
        self._record.totals = self._results.totals
        failure = error if isinstance(error, PersamHQVideoError) else None
        self._content = self._record.content(status, failure=failure)
        self._plan.directory.write_record(self._content, final=True)

    def _call_observers(self) -> None:
        """Call the plugins that observe runs: those of this process, whatever workers have."""
        job = self._plan.job
        registry = load_registry(job.plugins, blocked=job.config.blocked_plugins)
        with TimedThread("a plugin that observes runs", limit=job.config.call_timeout) as thread:
            thread.call(partial(registry.run_finished, self._plan.directory.path, self._content))

    def _tell_complete(self) -> None:
        count = self._results.committed
        self._notify(Event("complete", str(self._task.video), count, count))

    def _outcome(self, error: BaseException | None, late: BaseException | None) -> Outcome:
        """How the video ended; a `late` error came after its last file was written."""
        count = self._results.committed if self._is_open else 0
        seconds = self._record.elapsed

        # Ended as it should, or as somebody wanted
        if error is None:
            fps = count / seconds if seconds else None
            reason = None if late is None else f"{late}; all files are written, and the run is complete"
            return Outcome(self._task, "complete", count, seconds, fps, reason=reason, error=late)
        if isinstance(error, KeyboardInterrupt):
            resumable = not self._plan.request.source.info.is_live
            return Outcome(self._task, "interrupted", count, seconds, error=error, resumable=resumable)

        # Refused where nothing was written yet and the input or the folder is to blame, else failed
        refused = not self._is_open and isinstance(error, InputError | DecodeError | ConfigError)
        if refused and isinstance(error, DecodeError):
            error = InputError(str(error))
        reason = str(error) if late is None else f"{error}; then {late}"
        with contextlib.suppress(Exception):  # a listener that is gone may be the very reason
            self._notify(Event("refused" if refused else "failed", str(self._task.video), message=reason))
        return Outcome(self._task, "refused" if refused else "failed", count, seconds, reason=reason, error=error)

    @contextmanager
    def _keeping_failure(self, kind: type[BaseException] = Exception) -> Iterator[None]:
        """Errors inside become the video's failure; the first one counts."""
        try:
            yield
        except kind as exc:
            self.failure = self.failure or _as_ours(exc, OutputError)


def _as_ours(error: BaseException | None, kind: type[PersamHQVideoError]) -> BaseException | None:
    """An error that nobody of ours raised as one of that kind; an interrupt stays what it is."""
    if error is None or isinstance(error, PersamHQVideoError | KeyboardInterrupt):
        return error
    ours = kind(str(error) if isinstance(error, PersamHQError) else error_line(error))
    ours.__cause__ = error
    return ours
