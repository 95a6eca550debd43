"""A worker: one tracker, and the features that wait for it. Threads share one inline; on Ray each actor is one.

Neither torch nor ray is imported, so that a worker whose tracker needs no torch starts at once and takes little memory.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError
from persam_hq.io.process_memory import peak_memory
from persamhq_video.errors import ExecutorError, InputError, PersamHQVideoError
from persamhq_video.executors.usage import Usage
from persamhq_video.executors.workers.feature_store import FeatureFootprint, FeatureStore
from persamhq_video.executors.workers.frame_reader import FrameReaders, FrameReference
from persamhq_video.executors.workers.malloc import configure_malloc
from persamhq_video.foreign import contained
from persamhq_video.protocols.tracker import Beginning, Tracker
from persamhq_video.types import Frame, FrameResult

AnyTracker = Tracker[Any, Any, Any]


class WorkerJob(Protocol):
    """A job as a worker sees it: what to compute with, and within which limits; see `persamhq_video.job.job.Job`."""

    def delivered(self, weights: NDArray[np.uint8] | None) -> Self:
        """The job with its weights on this machine; None where they are here already."""
        ...

    def discard_delivery(self) -> None:
        """Remove what `delivered` put on this machine."""
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
    """Encodes and tracks the frames it is given; its methods may be called from several threads.

    Only one thread at a time calls `track`.
    """

    def __init__(self, job: WorkerJob) -> None:
        configure_malloc()
        self._job = job
        self._lock = threading.Lock()
        self._seconds: defaultdict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._targets: dict[int, Any] = {}
        self._readers = FrameReaders()
        self._tracker: AnyTracker | None = None
        self._store: FeatureStore[Any] | None = None

    def prepare(self, name: str, weights: NDArray[np.uint8] | None = None) -> bool:
        """Build the tracker and check the numeric fingerprint; returns whether frames are chained.

        name: what messages call this worker. weights: the bytes of the weights file, None where the machine has it.
        """
        # The weights have to be here before the fingerprint, which has their hash, can be checked.
        self._job = self._job.delivered(weights)
        try:
            self._job.check_fingerprint(name)
            tracker = self._tracker = self._build()
        finally:
            self._job.discard_delivery()
        self._store = FeatureStore(
            budget=self._job.feature_budget(),
            encode=tracker.encode,
            size_of=tracker.feature_bytes,
            release=self._job.release_memory,
        )
        return tracker.chained

    def _build(self) -> AnyTracker:
        """The tracker; what goes wrong here is a fault of the job and not of a frame."""
        try:
            with self._job.computing():
                return self._job.build()
        except PersamHQError as exc:
            raise InputError(str(exc)) from exc

    def begin(self, video: int, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[Any, Any]:
        """Personalize on the first frame."""
        with self._stage("begin", video, frame.index):
            return self._begin(frame, labels)

    def receive_target(self, video: int, target: Any) -> bool:
        """Take the target of a video before the first of its frames is tracked here; True, for `track` to wait for."""
        self._targets[video] = target
        return True

    def encode(self, video: int, frame: Frame | FrameReference) -> FeatureFootprint:
        """Encode a frame and keep its features here; one that comes as a reference is decoded here first."""
        if isinstance(frame, FrameReference):
            with self._stage("worker_decode", video, frame.index):
                frame = self._readers.read(video, frame)
        with self._stage("encode", video, frame.index):
            return self.store.encode(video, frame)

    def track(self, video: int, state: Any, index: int, *, target_received: bool) -> tuple[Any, FrameResult]:
        """One step of the fold on a frame that was encoded here; the next state and the frame's result.

        target_received: what `receive_target` returned. On Ray, where calls run in any order, waiting for this argument
        is what puts the target before the frame.
        """
        assert target_received, "the target comes before the first frame"
        with self._stage("track", video, index):
            # The tracker counts for all videos together; what this call adds is this video's.
            before = Counter(self.tracker.counts())
            new_state, result = self.tracker.track(self._targets[video], state, self.store.take(video, index))
            done = Counter(self.tracker.counts())
            done.subtract(before)
        with self._lock:
            self._counts[video].update(done)
        return new_state, result

    def close_video(self, video: int) -> Usage:
        """Forget a video; what was done for it."""
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
        # The masks of the first frame came from the user, so an error of the model here is one of the input.
        try:
            return self.tracker.begin(frame, labels)
        except PersamHQError as exc:
            raise InputError(str(exc)) from exc

    @contextmanager
    def _stage(self, name: str, video: int, index: int) -> Iterator[None]:
        """Compute for one frame: count the seconds, and say of an error which frame and stage it came from."""
        started = time.perf_counter()

        def failed(reason: str, error: BaseException) -> ExecutorError:
            del error
            return ExecutorError(f"frame {index}: {name} failed: {reason}")

        # A SystemExit would end a Ray worker, or a thread, without a word; strategies contain their own interrupts
        with (
            contained(f"the stage {name}", failed, passing=(PersamHQVideoError, KeyboardInterrupt)),
            self._job.computing(),
        ):
            yield
        with self._lock:
            self._seconds[video][name] += time.perf_counter() - started
