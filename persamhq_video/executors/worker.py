"""One tracker and the features that wait for it: what runs in a thread pool inline, and as an actor on Ray."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError
from persamhq_video.errors import ExecutorError, InputError, PersamHQVideoError
from persamhq_video.executors.base import Usage
from persamhq_video.executors.heap import steady_heap
from persamhq_video.features import FeatureStore
from persamhq_video.job import AnyTracker, Job
from persamhq_video.types import Frame, FrameResult


class Worker:
    """Does the costly and the cheap stage of the frames it is given; its methods may be called from several threads."""

    def __init__(self, job: Job) -> None:
        steady_heap()
        self._job = job
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._counts_before: Counter[str] = Counter()
        self._tracker: AnyTracker | None = None
        self._store: FeatureStore[Any] | None = None
        self._target: Any = None

    def prepare(self, name: str) -> bool:
        """Build the tracker, check the numeric fingerprint, and tell whether frames are chained."""
        torch.set_num_threads(self._job.config.threads_per_worker)
        self._job.check_fingerprint(name)
        try:
            self._tracker = self._job.build()
        except PersamHQError as exc:
            raise InputError(str(exc)) from exc
        return self._tracker.chained

    def open_video(self) -> None:
        """Make room for the features of a video and count from zero."""
        tracker, budget = self.tracker, int(self._job.config.feature_budget)
        self._store = FeatureStore(budget=budget, encode=tracker.encode, size_of=tracker.feature_bytes)
        with self._lock:
            self._seconds = defaultdict(float)
            self._counts_before = Counter(tracker.counts())

    def begin(self, frame: Frame, labels: NDArray[np.uint8]) -> tuple[Any, Any, FrameResult]:
        """Personalize on the first frame: the target, the first state, the first result."""
        with self._stage("begin", frame.index):
            try:
                beginning = self.tracker.begin(frame, labels)
            except PersamHQError as exc:
                raise InputError(str(exc)) from exc
        return beginning.target, beginning.state, beginning.result

    def adopt(self, target: Any) -> None:
        """Take the target of the video whose frames come next."""
        self._target = target

    def encode(self, frame: Frame) -> int:
        """Encode a frame and keep its features here; tells their size in bytes."""
        with self._stage("encode", frame.index):
            return self.store.encode(frame)

    def track(self, state: Any, index: int, encoded: int) -> tuple[Any, FrameResult]:
        """One step of the fold on a frame that was encoded here; `encoded` ties the call to that encoding."""
        assert encoded >= 0, "a frame is encoded before it is tracked"
        with self._stage("track", index):
            new_state, result = self.tracker.track(self._target, state, self.store.take(index))
        return new_state, result

    def usage(self) -> Usage:
        """What was done since `open_video`."""
        features = self.store.counters
        counts = Counter(self.tracker.counts())
        counts.subtract(self._counts_before)
        counts.update(
            features_hits=features.hits,
            features_evicted=features.evictions,
            features_recomputed=features.recomputes,
            features_high_water=features.high_water,
        )
        with self._lock:
            return Usage(dict(self._seconds), dict(counts), peak_memory())

    @property
    def tracker(self) -> AnyTracker:
        """The tracker, once `prepare` has built it."""
        assert self._tracker is not None, "prepare comes first"
        return self._tracker

    @property
    def store(self) -> FeatureStore[Any]:
        """The features that wait, once `open_video` has made room for them."""
        assert self._store is not None, "open_video comes first"
        return self._store

    @contextmanager
    def _stage(self, name: str, index: int) -> Iterator[None]:
        # OpenMP counts threads for each calling thread, so every one of them is told.
        torch.set_num_threads(self._job.config.threads_per_worker)
        started = time.perf_counter()
        try:
            with torch.inference_mode():
                yield
        except PersamHQVideoError:
            raise
        except Exception as exc:
            reason = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise ExecutorError(f"frame {index}: {name} failed: {reason}") from exc
        with self._lock:
            self._seconds[name] += time.perf_counter() - started


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024
