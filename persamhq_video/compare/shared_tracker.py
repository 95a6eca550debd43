"""Several trackers of one model as a single one for the executor: a frame is encoded once, then tracked by all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from persamhq_video.compare.shared_segmenter import CallCache, SharedSegmenter, merge_equal
from persamhq_video.errors import StrategyError
from persamhq_video.job.job import Job
from persamhq_video.protocols.tracker import Beginning, Tracker
from persamhq_video.tracking.tracker import VideoTracker
from persamhq_video.types import Frame, FrameResult

__all__ = ["CombinedResult", "SharedJob", "SharedTracker"]


class SharingTracker(Tracker[Any, Any, Any], Protocol):
    """A tracker that accepts features that another tracker encoded."""

    def begin_encoded(self, encoded: Any, labels: NDArray[np.uint8]) -> Beginning[Any, Any]:
        """As `begin`, on a frame that is encoded already."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CombinedResult(FrameResult):
    """The result of each tracker on a frame, and the seconds it took; as a FrameResult it is that of the first one."""

    results: tuple[FrameResult, ...]
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, results: Sequence[FrameResult], seconds: Sequence[float]) -> CombinedResult:
        """The results of one frame, one per tracker."""
        first = results[0]
        return cls(
            index=first.index,
            pts=first.pts,
            time_base=first.time_base,
            name=first.name,
            labels=first.labels,
            objects=first.objects,
            results=tuple(results),
            seconds=tuple(seconds),
        )


class SharedTracker:
    """See `persamhq_video.protocols.Tracker`: targets and states are tuples, results a CombinedResult.

    `encoder` is the number of the tracker whose features serve all of them, `names` are those of the strategies in
    errors. They track at the same time, each in a thread that has entered `computing`; as none depends on another, the
    results do not depend on that.
    """

    def __init__(
        self,
        trackers: Sequence[SharingTracker],
        *,
        encoder: int = 0,
        names: Sequence[str] = (),
        computing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._trackers = tuple(trackers)
        self._encoder = self._trackers[encoder]
        self._computing = computing
        self._names = tuple(names) or tuple(str(number + 1) for number in range(len(self._trackers)))
        self._threads = ThreadPoolExecutor(len(self._trackers), thread_name_prefix="strategy")
        self._calls = _share_segmenters(self._trackers, self._encoder)
        self.chained = any(tracker.chained for tracker in self._trackers)

    def begin(self, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[Any, Any]:
        """See Tracker."""
        encoded = self._encoder.encode(frame)
        beginnings = [tracker.begin_encoded(encoded, labels) for tracker in self._trackers]
        self._calls.clear()
        return Beginning(
            target=tuple(beginning.target for beginning in beginnings),
            state=merge_equal([beginning.state for beginning in beginnings]),
            result=CombinedResult.of([beginning.result for beginning in beginnings], [0.0] * len(beginnings)),
        )

    def encode(self, frame: Frame) -> Any:
        """See Tracker."""
        return self._encoder.encode(frame)

    def track(self, target: Any, state: Any, features: Any) -> tuple[Any, FrameResult]:
        """See Tracker."""
        steps = [
            self._threads.submit(self._step, *one, features)
            for one in zip(self._names, self._trackers, target, state, strict=True)
        ]

        # All of them end before an error of one is raised: none may still use features that are released then
        wait(steps)
        self._calls.clear()

        # States that are equal become one object, so that equal calls on the next frame are found at once
        states, results, seconds = zip(*(step.result() for step in steps), strict=True)
        return merge_equal(states), CombinedResult.of(results, seconds)

    def _step(
        self, name: str, tracker: SharingTracker, target: Any, state: Any, features: Any
    ) -> tuple[Any, FrameResult, float]:
        """Track with one strategy: its new state, its result, and the seconds it took."""
        before = time.perf_counter()
        try:
            with self._computing():
                new_state, result = tracker.track(target, state, features)
        except StrategyError as exc:
            raise StrategyError(f"--try {name}: {exc}") from exc
        # Without a chain every frame starts from the first state
        return new_state if tracker.chained else state, result, time.perf_counter() - before

    def feature_bytes(self, features: Any) -> Mapping[str, int]:
        """See Tracker."""
        return self._encoder.feature_bytes(features)

    def counts(self) -> Mapping[str, int]:
        """See Tracker: summed over all of them."""
        total: Counter[str] = Counter()
        for tracker in self._trackers:
            total.update(tracker.counts())
        return total


@dataclass(frozen=True, slots=True)
class SharedJob(Job):
    """A job whose tracker is a SharedTracker; `parts` are the strategies' own jobs, in the order of `names`.

    `config` is that of the part whose encoder serves all of them.
    """

    parts: tuple[Job, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Job], names: Sequence[str] = ()) -> SharedJob:
        """Combine jobs of one model with the same numeric fingerprint, and the names of their strategies."""
        # Features are shared, so they hold the interm embeddings for all as soon as one part asks for them
        keep_interm = any(part.config.keep_interm for part in parts)
        parts = [replace(part, config=part.config.model_copy(update={"keep_interm": keep_interm})) for part in parts]

        # Everything else of the job is the encoding part's
        first = parts[_encoder_of(parts)]
        return cls(
            **{field.name: getattr(first, field.name) for field in fields(Job)}, parts=tuple(parts), names=tuple(names)
        )

    def build(self) -> SharedTracker:
        """See Job."""
        # Weights that came with the job to another machine lie where `config` says; `delivered` set it there alone.
        weights = {"checkpoint": self.config.checkpoint}
        parts = [replace(part, config=part.config.model_copy(update=weights)) for part in self.parts]
        trackers = [cast("SharingTracker", part.build()) for part in parts]
        return SharedTracker(trackers, encoder=_encoder_of(parts), names=self.names, computing=self.computing)


def _encoder_of(parts: Sequence[Job]) -> int:
    """The number of the part whose features serve every other one: the first with HQ features, if any."""
    return next((number for number, part in enumerate(parts) if part.config.uses_hq), 0)


def _share_segmenters(trackers: Sequence[SharingTracker], encoder: SharingTracker) -> CallCache:
    """Make all trackers use the encoder's copy of the model and one cache of results; the cache is returned."""
    calls = CallCache()
    for tracker in trackers:
        if isinstance(tracker, VideoTracker) and isinstance(encoder, VideoTracker):
            tracker.segmenter.model = encoder.segmenter.model
    for tracker in trackers:
        if isinstance(tracker, VideoTracker):
            tracker.segmenter = SharedSegmenter(tracker.segmenter, calls)
    return calls
