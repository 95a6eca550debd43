"""An executor: a pool of workers that is ready, and a scheduler for each batch of videos."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Queue
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.errors import ClusterError
from persamhq_video.executors.client import CallKind, Client, Continuation
from persamhq_video.executors.driver.scheduler import Scheduler
from persamhq_video.executors.usage import TotalUsage, Tracked
from persamhq_video.executors.workers.worker_pool import Pool
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import Frame

__all__ = ["Executor"]

_LOGGER: Final = logging.getLogger(__name__)


class Executor:
    """Runs one job on any number of videos; its workers are ready once it is entered.

    fallback: makes the pool to use where Ray cannot be started, which is then a warning; None where that is an error.
    """

    def __init__(self, pool: Pool, *, call_timeout: float, fallback: Callable[[], Pool] | None = None) -> None:
        self._pool, self._call_timeout, self._fallback = pool, call_timeout, fallback
        self._usage = TotalUsage({}, {}, ())
        # Numbers of videos go on from one scheduler to the next, since the workers may still hold an earlier one.
        self._numbers = itertools.count()
        self._scheduler: Scheduler | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        try:
            self._pool.__enter__()
        except ClusterError as exc:
            if self._fallback is None:
                raise
            # Without a logging set-up this is a line on standard error
            _LOGGER.warning("%s; this run goes on inline, with the same results", exc)
            self._pool = self._fallback()
            self._pool.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.__exit__(*exc)

    def run(self, clients: Iterable[Client]) -> None:
        """Run every client's video, several at once; what goes wrong with one is told to that one."""
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
        """Yield the results of one video in frame order, first frame included; only a bounded window is in memory."""
        # The scheduler runs in a thread of its own, so that the workers go on while the caller uses a result.
        client = _StreamClient(frames, labels)
        scheduler = self._next_scheduler()
        thread = threading.Thread(target=_run_scheduler, args=(scheduler, client), name="drive", daemon=True)
        thread.start()

        # Results, then None or the error that ended the video.
        try:
            while isinstance(item := client.results.get(), Tracked):
                client.num_taken += 1
                yield item
            if item is not None:
                raise item
        finally:
            # Also where the caller stops before the end.
            scheduler.stop()
            thread.join()
            self._usage = client.usage

    def usage(self) -> TotalUsage:
        """What the workers did in the last `stream`."""
        return self._usage

    def _next_scheduler(self) -> Scheduler:
        scheduler = Scheduler(self._pool, call_timeout=self._call_timeout, numbers=self._numbers)
        self._scheduler = scheduler
        # `stop` may have come between the start of the workers and the first frame.
        if self._stopped:
            scheduler.stop()
        return scheduler


class _StreamClient:
    """The client behind `stream`: results go into a queue that the caller reads."""

    continuation: Continuation | None = None
    source: FrameSource | None = None
    failure: BaseException | None = None
    safe_until = sys.maxsize
    """Nothing is written, so no write is waited for."""

    def __init__(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> None:
        self.labels = labels
        self.results: Queue[Tracked | BaseException | None] = Queue()
        self.usage = TotalUsage({}, {}, ())
        self.num_delivered = self.num_taken = 0
        self._frames = frames

    def frames(self) -> Iterator[Frame]:
        """See Client."""
        return self._frames

    def begun(self, kind: CallKind, index: int) -> None:
        """See Client; a stream keeps no record."""

    def deliver(self, tracked: Tracked) -> None:
        """See Client."""
        self.num_delivered += 1
        self.results.put(tracked)

    def snapshot(self, index: int, state: Any) -> None:
        """See Client; a stream cannot be resumed."""

    @property
    def backlog(self) -> int:
        """See Client."""
        return self.num_delivered - self.num_taken

    def ended(self, usage: TotalUsage, error: BaseException | None) -> None:
        """See Client."""
        self.usage = usage
        self.results.put(error)


def _run_scheduler(scheduler: Scheduler, client: _StreamClient) -> None:
    try:
        scheduler.run(iter([client]))
    except BaseException as exc:  # noqa: BLE001 - the caller of `stream` has to be told
        client.results.put(exc)
