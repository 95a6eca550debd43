"""Everything in this process: one tracker, several encode threads, one thread that tracks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.executors.workers.worker import Work, Worker
from persamhq_video.executors.workers.worker_pool import Begun, Call, Mailbox, Message
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import Frame, FrameResult

__all__ = ["FRAMES_A_THREAD", "InlinePool"]

FRAMES_A_THREAD: Final = 2


class _Coming:
    """A state that is there once the call that gives it has ended."""

    def __init__(self) -> None:
        self.state: Any = None


class InlinePool:
    """One worker that encodes with several threads; each has the math threads of the fingerprint. See Pool."""

    replaceable = False
    size = 1

    def __init__(self, job: Work, *, encode_threads: int) -> None:
        self.mailbox: Mailbox = Mailbox()
        self.frames_ahead = FRAMES_A_THREAD * encode_threads
        self._job, self._encode_threads = job, encode_threads
        self._worker = Worker(job)
        self._chained = True

    def __enter__(self) -> Self:
        self._encoding = ThreadPoolExecutor(self._encode_threads, thread_name_prefix="encode")
        self._tracking = ThreadPoolExecutor(1, thread_name_prefix="track")
        try:
            self._chained = self._tracking.submit(self._worker.prepare, "this process").result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for threads in (self._encoding, self._tracking):
            threads.shutdown(wait=True, cancel_futures=True)

    @property
    def chained(self) -> bool:
        """See Pool."""
        return self._chained

    def announce(self, video: int, source: FrameSource | None) -> None:
        """See Pool: frames are decoded here anyway."""

    def begin(self, call: Call, video: int, frame: Frame, labels: NDArray[np.uint8]) -> None:
        """See Pool."""

        def begin() -> Begun:
            target, state, result = self._worker.begin(video, frame, labels)
            self._worker.adopt(video, target)
            return Begun(target, state, result)

        self._submit(self._encoding, call, begin)

    def encode(self, call: Call, video: int, frame: Frame) -> None:
        """See Pool."""
        self._submit(self._encoding, call, lambda: self._worker.encode(video, frame))

    def track(self, call: Call, video: int, *, target: Any, state: Any, index: int) -> Any:
        """See Pool."""
        del target  # the one worker has it
        coming = _Coming()

        def track() -> FrameResult:
            coming.state, result = self._worker.track(video, _by_value(state), index, adopted=True)
            return result

        self._submit(self._tracking, call, track)
        return coming

    def fetch(self, call: Call, state: Any) -> None:
        """See Pool: it is here."""
        self.mailbox.put(Message(call, _by_value(state)))

    def close_video(self, call: Call, video: int) -> None:
        """See Pool."""
        self.mailbox.put(Message(call, self._worker.close_video(video)))

    def replace(self, call: Call) -> None:
        """See Pool: a process cannot be put in its own place."""
        raise AssertionError(call)

    def _submit(self, threads: ThreadPoolExecutor, call: Call, work: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                message = Message(call, work())
            except BaseException as exc:  # noqa: BLE001 - whoever waits has to be told
                message = Message(call, error=exc)
            self.mailbox.put(message)

        threads.submit(run)


def _by_value(state: Any) -> Any:
    return state.state if isinstance(state, _Coming) else state
