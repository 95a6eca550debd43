"""The features of frames that are encoded and not tracked yet, within a budget of bytes; one store per worker."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from persamhq_video.types import Frame

__all__ = ["FeatureFootprint", "FeatureStore"]

FeaturesT = TypeVar("FeaturesT")
_Key = tuple[int, int]
"""A video's number and a frame's index."""


@dataclass(frozen=True, slots=True)
class FeatureFootprint:
    """The bytes that the features of a frame take, and how many such frames fit the store in all."""

    num_bytes: int
    capacity: int


@dataclass(slots=True)
class _Entry(Generic[FeaturesT]):
    """A frame and its features; None once they were dropped for lack of room."""

    frame: Frame
    features: FeaturesT | None
    num_bytes: int


class FeatureStore(Generic[FeaturesT]):
    """Holds features until their frame is tracked; safe to use from several threads.

    A frame stays until it is taken, so that features dropped for lack of room can be made again. The frame that its
    video needs last is dropped first. Where the device runs out of memory all the same, the budget becomes half of
    what was held, and the work goes on.

    budget: bytes; `size_of` gives the bytes of each kind of tensor. `release` returns the device's reserve to it.
    """

    def __init__(
        self,
        *,
        budget: int,
        encode: Callable[[Frame], FeaturesT],
        size_of: Callable[[FeaturesT], Mapping[str, int]],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget, self._encode, self._size_of, self._release = budget, encode, size_of, release
        self._entries: dict[_Key, _Entry[FeaturesT]] = {}
        self._held_bytes = self._high_water = 0
        self._counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def encode(self, video: int, frame: Frame) -> FeatureFootprint:
        """Encode a frame of a video and keep what fits."""
        # Encode outside the lock, so that several threads can.
        features = self._encode_or_shrink(video, frame)
        bytes_by_kind = self._size_of(features)
        num_bytes = sum(bytes_by_kind.values())

        with self._lock:
            # Enter the features.
            self._drop((video, frame.index))
            self._entries[video, frame.index] = _Entry(frame, features, num_bytes)
            self._held_bytes += num_bytes
            self._high_water = max(self._high_water, self._held_bytes)

            # Note the largest of each kind of tensor; a kind of 0 bytes is listed too.
            counts = self._counts[video]
            counts.update({f"feature_bytes_{kind}": 0 for kind in bytes_by_kind})
            for kind, taken in bytes_by_kind.items():
                counts[f"feature_bytes_{kind}"] = max(counts[f"feature_bytes_{kind}"], taken)

            # Make them fit.
            self._evict()
            return FeatureFootprint(num_bytes, self._budget // max(1, num_bytes))

    def take(self, video: int, index: int) -> FeaturesT:
        """Take the features of a frame that was encoded here out of the store; made again if they were dropped."""
        with self._lock:
            entry = self._entries[video, index]
            if entry.features is not None:
                self._drop((video, index))
                self._counts[video]["features_hits"] += 1
                return entry.features
            self._counts[video]["features_recomputed"] += 1
            del self._entries[video, index]
        return self._encode_or_shrink(video, entry.frame)

    def forget(self, video: int) -> Mapping[str, int]:
        """Drop what is left of a video; what was counted for it, and the most bytes ever held for all videos."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == video]:
                self._drop(key)
            counts = {"features_hits": 0, "features_evicted": 0, "features_recomputed": 0, "out_of_memory": 0}
            return {**counts, **self._counts.pop(video, Counter()), "features_high_water": self._high_water}

    def _encode_or_shrink(self, video: int, frame: Frame) -> FeaturesT:
        """Encode; where memory runs out, with ever fewer features beside it."""
        while True:
            try:
                return self._encode(frame)
            except Exception as exc:
                if not _is_out_of_memory(exc) or not self._shrink(video):
                    raise

    def _shrink(self, video: int) -> bool:
        """Hold half as much from now on; False where nothing is held."""
        with self._lock:
            if not self._held_bytes:
                return False
            self._counts[video]["out_of_memory"] += 1
            self._budget = self._held_bytes // 2
            self._evict()
        self._release()
        return True

    def _evict(self) -> None:
        """Drop features until the budget is kept, those first that are furthest from their video's next frame."""
        first: dict[int, int] = {}
        for video, index in self._entries:
            first[video] = min(index, first.get(video, index))
        last_needed_first = sorted(self._entries, key=lambda key: (key[1] - first[key[0]], key), reverse=True)
        for key in last_needed_first:
            if self._held_bytes <= self._budget:
                return
            entry = self._entries[key]
            if entry.features is not None:
                entry.features = None
                self._held_bytes -= entry.num_bytes
                self._counts[key[0]]["features_evicted"] += 1

    def _drop(self, key: _Key) -> None:
        """Remove a frame altogether."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.features is not None:
            self._held_bytes -= entry.num_bytes


def _is_out_of_memory(exc: Exception) -> bool:
    # torch.OutOfMemoryError by its name, since workers whose tracker has no use for torch do without it.
    return isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError"
