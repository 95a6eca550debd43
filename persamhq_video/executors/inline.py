"""Everything in one process: decoding, several encode threads, tracking and the caller's writing side by side."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from persamhq_video.executors.base import TotalUsage, Tracked
from persamhq_video.executors.run_ahead import run_ahead
from persamhq_video.executors.window import Window, submit_ahead
from persamhq_video.executors.worker import Worker
from persamhq_video.job import Job
from persamhq_video.types import Frame, FrameResult

_QUEUE_DEPTH: Final = 2
_FRAMES_A_THREAD: Final = 2


class InlineExecutor:
    """Threads instead of workers: each computes with the math threads of the fingerprint, so the bits are the same."""

    def __init__(self, job: Job, *, encode_threads: int) -> None:
        self._job, self._encode_threads = job, encode_threads
        self._worker = Worker(job)
        self._chained = True
        self._math_threads_before = torch.get_num_threads()

    def __enter__(self) -> Self:
        self._chained = self._worker.prepare("this process")
        return self

    def __exit__(self, *exc: object) -> None:
        torch.set_num_threads(self._math_threads_before)

    def stream(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        """Results in frame order; decoding, encoding, tracking and the caller's own work overlap."""
        decoded = run_ahead(frames, depth=_QUEUE_DEPTH, name="decode")
        return run_ahead(self._fold(decoded, labels), depth=_QUEUE_DEPTH, name="track")

    def usage(self) -> TotalUsage:
        """What was done since the last `stream` began."""
        return TotalUsage.of([self._worker.usage()])

    def _fold(self, frames: Generator[Frame, None, None], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        try:
            self._worker.open_video()
            first = next(frames)
            target, state, result = self._worker.begin(first, labels)
            self._worker.adopt(target)
            yield Tracked(first, result)
            with _encode_pool(self._encode_threads) as pool:
                yield from self._chain(pool, frames, state) if self._chained else self._spread(pool, frames, state)
        finally:
            frames.close()

    def _chain(self, pool: ThreadPoolExecutor, frames: Iterator[Frame], state: Any) -> Iterator[Tracked]:
        """Encode ahead in the pool; track here, one frame after the other."""

        def submit(frame: Frame) -> tuple[Frame, Future[int]]:
            return frame, pool.submit(self._worker.encode, frame)

        window = self._window()
        for frame, encoded in submit_ahead(frames, submit, window):
            size = encoded.result()
            window.saw(size)
            state, result = self._worker.track(state, frame.index, size)
            yield Tracked(frame, result)

    def _spread(self, pool: ThreadPoolExecutor, frames: Iterator[Frame], state: Any) -> Iterator[Tracked]:
        """Encode and track in the pool, every frame from the first state."""

        def encode_and_track(frame: Frame) -> FrameResult:
            _, result = self._worker.track(state, frame.index, self._worker.encode(frame))
            return result

        def submit(frame: Frame) -> tuple[Frame, Future[FrameResult]]:
            return frame, pool.submit(encode_and_track, frame)

        for frame, result in submit_ahead(frames, submit, self._window()):
            yield Tracked(frame, result.result())

    def _window(self) -> Window:
        return Window(frames=_FRAMES_A_THREAD * self._encode_threads, budget=int(self._job.config.feature_budget))


@contextmanager
def _encode_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops what has not begun when it is left."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
