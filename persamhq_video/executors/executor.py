"""A pool of workers that is ready, and the scheduler that videos are followed with."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from queue import Queue
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.executors.client import Client, Continuation, Stage
from persamhq_video.executors.driver.scheduler import Scheduler
from persamhq_video.executors.usage import TotalUsage, Tracked
from persamhq_video.executors.workers.worker_pool import Pool
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import Frame

__all__ = ["Executor"]


class Executor:
    """Runs one job on any number of videos; ready once entered."""

    def __init__(self, pool: Pool, *, call_timeout: float) -> None:
        self._pool, self._call_timeout = pool, call_timeout
        self._usage = TotalUsage({}, {}, ())
        self._numbers = itertools.count()
        self._scheduler: Scheduler | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.__exit__(*exc)

    def run(self, clients: Iterable[Client]) -> None:
        """Follow every client's video, several at once; what goes wrong with one is told to that one."""
        try:
            self._next_scheduler().run(iter(clients))
        finally:
            self._stopped = False

    def stop(self) -> None:
        """Let `run` end every video where it is, also if it comes later; callable from a signal handler too."""
        self._stopped = True
        if self._scheduler is not None:
            self._scheduler.stop()

    def stream(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        """The results of one video in frame order, first frame included; only a bounded window is in memory."""
        reader = _Reader(frames, labels)
        scheduler = self._next_scheduler()
        thread = threading.Thread(target=_drive, args=(scheduler, reader), name="drive", daemon=True)
        thread.start()
        try:
            while isinstance(item := reader.results.get(), Tracked):
                reader.taken += 1
                yield item
            if item is not None:
                raise item
        finally:
            scheduler.stop()
            thread.join()
            self._usage = reader.usage

    def usage(self) -> TotalUsage:
        """What the workers did in the last `stream`."""
        return self._usage

    def _next_scheduler(self) -> Scheduler:
        scheduler = Scheduler(self._pool, call_timeout=self._call_timeout, numbers=self._numbers)
        self._scheduler = scheduler
        if self._stopped:
            scheduler.stop()
        return scheduler


class _Reader:
    """A client whose results are read from a queue."""

    continuation: Continuation | None = None
    source: FrameSource | None = None
    failure: BaseException | None = None
    safe_until = sys.maxsize
    """Nothing is kept, so nothing is waited for."""

    def __init__(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> None:
        self.labels = labels
        self.results: Queue[Tracked | BaseException | None] = Queue()
        self.usage = TotalUsage({}, {}, ())
        self.delivered = self.taken = 0
        self._frames = frames

    def frames(self) -> Iterator[Frame]:
        """See Client."""
        return self._frames

    def begun(self, stage: Stage, index: int) -> None:
        """See Client."""

    def deliver(self, tracked: Tracked) -> None:
        """See Client."""
        self.delivered += 1
        self.results.put(tracked)

    def snapshot(self, index: int, state: Any) -> None:
        """See Client."""

    @property
    def backlog(self) -> int:
        """See Client."""
        return self.delivered - self.taken

    def ended(self, usage: TotalUsage, error: BaseException | None) -> None:
        """See Client."""
        self.usage = usage
        self.results.put(error)


def _drive(scheduler: Scheduler, reader: _Reader) -> None:
    try:
        scheduler.run(iter([reader]))
    except BaseException as exc:  # noqa: BLE001 - whoever waits has to be told
        reader.results.put(exc)
