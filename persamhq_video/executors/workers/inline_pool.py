"""The inline pool: everything in this process, with one tracker, several encode threads and one thread that tracks.

Parallelism comes from encode threads and not from math threads, since float32 results depend on the number of math
threads: each encode thread computes with the math threads of the numeric fingerprint, one by default, as a Ray worker
does, so both give the same bytes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.executors.workers.worker import Worker, WorkerJob
from persamhq_video.executors.workers.worker_pool import Call, Mailbox, Message
from persamhq_video.foreign import running
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.types import CallKind, Frame, FrameResult

__all__ = ["FRAMES_PER_THREAD", "InlinePool"]

FRAMES_PER_THREAD: Final = 2
"""Frames that each encode thread may hold or have under way: one being encoded, one that waits for tracking. Nothing
has to travel here, so no more are needed to keep the threads busy, and all of them share one memory."""


class _PendingState:
    """A state that is there once the call that gives it has ended; the handle that `track` returns at once."""

    def __init__(self) -> None:
        self.state: Any = None


class _Threads:
    """Threads that carry out what is submitted, in its order.

    Those of a ThreadPoolExecutor are waited for when the process ends, so one that hangs would keep it for ever.
    """

    def __init__(self, count: int, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Carry it out in one of the threads; it may not raise."""
        self._work.put(work)

    def close(self, *, wait: bool) -> None:
        """Drop what was not begun, and end each thread after what it is at."""
        with contextlib.suppress(Empty):
            while True:
                self._work.get_nowait()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class InlinePool:
    """One worker, of which `encode_threads` threads encode. See Pool."""

    replaceable = False
    size = 1

    def __init__(self, job: WorkerJob, *, encode_threads: int) -> None:
        self.mailbox: Mailbox = Mailbox()
        self.frames_ahead = FRAMES_PER_THREAD * encode_threads
        self._encode_threads = encode_threads
        self._worker = Worker(job)
        self._chained = True
        self._hangs = False
        # The thread that each call under way is in, by its identifier
        self._busy: dict[Call, int] = {}

    def __enter__(self) -> Self:
        self._encoding, self._tracking = _Threads(self._encode_threads, "encode"), _Threads(1, "track")
        try:
            self._chained = self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for threads in (self._encoding, self._tracking):
            threads.close(wait=not self._hangs)

    @property
    def chained(self) -> bool:
        """See Pool."""
        return self._chained

    def announce(self, video: int, source: FrameSource | None) -> None:
        """See Pool: frames are decoded here anyway."""

    def begin(self, call: Call, video: int, frame: Frame, labels: NDArray[np.uint8]) -> None:
        """See Pool."""

        def begin() -> Beginning[Any, Any]:
            beginning = self._worker.begin(video, frame, labels)
            self._worker.receive_target(video, beginning.target)
            return beginning

        self._submit(self._encoding, call, begin)

    def encode(self, call: Call, video: int, frame: Frame) -> None:
        """See Pool."""
        self._submit(self._encoding, call, lambda: self._worker.encode(video, frame))

    def track(self, call: Call, video: int, *, target: Any, state: Any, index: int) -> Any:
        """See Pool."""
        del target  # the one worker has it since `begin`
        pending = _PendingState()

        def track() -> FrameResult:
            pending.state, result = self._worker.track(video, _by_value(state), index, target_received=True)
            return result

        self._submit(self._tracking, call, track)
        return pending

    def fetch(self, call: Call, state: Any) -> None:
        """See Pool: the state is in this process already."""
        self.mailbox.put(Message(call, _by_value(state)))

    def close_video(self, call: Call, video: int) -> None:
        """See Pool."""
        self.mailbox.put(Message(call, self._worker.close_video(video)))

    def replace(self, call: Call) -> None:
        """See Pool: a process cannot be put in its own place."""
        raise AssertionError(call)

    def abandon(self, call: Call, kind: CallKind) -> str | None:
        """See Pool."""
        del kind
        self._hangs = True
        thread = self._busy.get(call)
        return None if thread is None else running(thread)

    def _prepare(self) -> bool:
        """Prepare the worker, in the thread that tracks later on; returns whether frames are chained."""
        chained: Future[bool] = Future()

        def prepare() -> None:
            try:
                chained.set_result(self._worker.prepare("this process"))
            except BaseException as exc:  # noqa: BLE001 - raised where the result is asked for
                chained.set_exception(exc)

        self._tracking.submit(prepare)
        return chained.result()

    def _submit(self, threads: _Threads, call: Call, work: Callable[[], Any]) -> None:
        """Run `work` in one of the threads; what it returns or raises is the reply."""

        def run() -> None:
            self._busy[call] = threading.get_ident()
            try:
                message = Message(call, work())
            except BaseException as exc:  # noqa: BLE001 - the scheduler has to be told
                message = Message(call, error=exc)
            del self._busy[call]
            self.mailbox.put(message)

        threads.submit(run)


def _by_value(state: Any) -> Any:
    """The state behind a handle whose call has ended, or a state that never was one."""
    return state.state if isinstance(state, _PendingState) else state
