"""One tracker and the features that wait for it: threads inline, an actor on Ray. Neither torch nor ray is imported."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError, error_line
from persamhq_video.errors import ExecutorError, InputError, PersamHQVideoError
from persamhq_video.executors.usage import Usage
from persamhq_video.executors.workers.feature_store import FeatureStore, Kept
from persamhq_video.executors.workers.frame_reader import FrameNumber, Readers
from persamhq_video.executors.workers.malloc import steady_heap
from persamhq_video.protocols.tracker import Beginning, Tracker
from persamhq_video.types import Frame, FrameResult

AnyTracker = Tracker[Any, Any, Any]


class Work(Protocol):
    """A job as a worker sees it; see `persamhq_video.job.job.Job`."""

    def delivered(self, weights: NDArray[np.uint8] | None) -> Self:
        """The job with its weights on this machine; None where they are here already."""
        ...

    def check_fingerprint(self, worker: str) -> None:
        """Refuse a worker whose numbers would differ from the driver's."""
        ...

    def build(self) -> AnyTracker:
        """The tracker, with strategies of this process's own."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Entered around every computation, in the thread that does it."""
        ...

    def feature_budget(self) -> int:
        """Bytes of features that this worker may hold."""
        ...

    def release_memory(self) -> None:
        """Give back what the device keeps in reserve."""
        ...


class Worker:
    """Does the costly and the cheap stage of the frames it is given; its methods may be called from several threads.

    Only one thread at a time calls `track`.
    """

    def __init__(self, job: Work) -> None:
        steady_heap()
        self._job = job
        self._lock = threading.Lock()
        self._seconds: defaultdict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._targets: dict[int, Any] = {}
        self._readers = Readers()
        self._tracker: AnyTracker | None = None
        self._store: FeatureStore[Any] | None = None

    def prepare(self, name: str, weights: NDArray[np.uint8] | None = None) -> bool:
        """Build the tracker, check the numeric fingerprint, and tell whether frames are chained."""
        self._job = self._job.delivered(weights)
        self._job.check_fingerprint(name)
        try:
            with self._job.computing():
                tracker = self._tracker = self._job.build()
        except PersamHQError as exc:
            raise InputError(str(exc)) from exc
        self._store = FeatureStore(
            budget=self._job.feature_budget(),
            encode=tracker.encode,
            size_of=tracker.feature_bytes,
            release=self._job.release_memory,
        )
        return tracker.chained

    def begin(self, video: int, frame: Frame, labels: NDArray[np.uint8]) -> tuple[Any, Any, FrameResult]:
        """Personalize on the first frame: the target, the first state, the first result."""
        with self._stage("begin", video, frame.index):
            beginning = self._begin(frame, labels)
        return beginning.target, beginning.state, beginning.result

    def adopt(self, video: int, target: Any) -> bool:
        """Take the target of a video whose frames come next."""
        self._targets[video] = target
        return True

    def encode(self, video: int, frame: Frame | FrameNumber) -> Kept:
        """Encode a frame and keep its features here; one that comes as a number is decoded here first."""
        if isinstance(frame, FrameNumber):
            with self._stage("worker_decode", video, frame.index):
                frame = self._readers.read(video, frame)
        with self._stage("encode", video, frame.index):
            return self.store.encode(video, frame)

    def track(self, video: int, state: Any, index: int, adopted: bool) -> tuple[Any, FrameResult]:  # noqa: FBT001 - it only ties the call to the adoption of the target
        """One step of the fold on a frame that was encoded here."""
        assert adopted, "the target comes before the first frame"
        with self._stage("track", video, index):
            before = Counter(self.tracker.counts())
            new_state, result = self.tracker.track(self._targets[video], state, self.store.take(video, index))
            done = Counter(self.tracker.counts())
            done.subtract(before)
        with self._lock:
            self._counts[video].update(done)
        return new_state, result

    def close_video(self, video: int) -> Usage:
        """Forget a video, and tell what was done for it."""
        self._targets.pop(video, None)
        self._readers.close(video)
        features = self.store.forget(video)
        with self._lock:
            seconds: dict[str, float] = dict(self._seconds.pop(video, {}))
            counts = self._counts.pop(video, Counter())
        return Usage(seconds, {**counts, **features}, peak_memory())

    @property
    def tracker(self) -> AnyTracker:
        """The tracker, once `prepare` has built it."""
        assert self._tracker is not None, "prepare comes first"
        return self._tracker

    @property
    def store(self) -> FeatureStore[Any]:
        """The features that wait, once `prepare` has made room for them."""
        assert self._store is not None, "prepare comes first"
        return self._store

    def _begin(self, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[Any, Any]:
        try:
            return self.tracker.begin(frame, labels)
        except PersamHQError as exc:
            raise InputError(str(exc)) from exc

    @contextmanager
    def _stage(self, name: str, video: int, index: int) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with self._job.computing():
                yield
        except PersamHQVideoError:
            raise
        except Exception as exc:
            reason = error_line(exc)
            raise ExecutorError(f"frame {index}: {name} failed: {reason}") from exc
        with self._lock:
            self._seconds[video][name] += time.perf_counter() - started


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024
