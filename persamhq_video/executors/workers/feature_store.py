"""Features of frames that are encoded and not tracked yet, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from persamhq_video.types import Frame

__all__ = ["FeatureStore", "Kept"]

FeaturesT = TypeVar("FeaturesT")
_Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """The features of a frame take `size` bytes; the store has room for `room` such frames in all."""

    size: int
    room: int


@dataclass(slots=True)
class _Entry(Generic[FeaturesT]):
    frame: Frame
    features: FeaturesT | None
    size: int


class FeatureStore(Generic[FeaturesT]):
    """Holds features until their frame is tracked; safe to use from several threads.

    A frame stays until it is taken, so that features dropped for lack of room can be made again. The frame that its
    video needs last is dropped first. Where the device runs out of memory all the same, the budget becomes half of
    what was held, and the work goes on. `size_of` tells the bytes of each kind of tensor.
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
        self._held = self._high_water = 0
        self._counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def encode(self, video: int, frame: Frame) -> Kept:
        """Encode a frame of a video and keep what fits."""
        features = self._made(video, frame)
        kinds = self._size_of(features)
        size = sum(kinds.values())
        with self._lock:
            self._forget((video, frame.index))
            self._entries[video, frame.index] = _Entry(frame, features, size)
            self._held += size
            self._high_water = max(self._high_water, self._held)
            counts = self._counts[video]
            counts.update({f"feature_bytes_{kind}": 0 for kind in kinds})
            for kind, taken in kinds.items():
                counts[f"feature_bytes_{kind}"] = max(counts[f"feature_bytes_{kind}"], taken)
            self._evict()
            return Kept(size, self._budget // max(1, size))

    def take(self, video: int, index: int) -> FeaturesT:
        """The features of a frame that was encoded here; they leave the store."""
        with self._lock:
            entry = self._entries[video, index]
            if entry.features is not None:
                self._forget((video, index))
                self._counts[video]["features_hits"] += 1
                return entry.features
            self._counts[video]["features_recomputed"] += 1
            del self._entries[video, index]
        return self._made(video, entry.frame)

    def forget(self, video: int) -> Mapping[str, int]:
        """Drop what is left of a video; what was counted for it, and the most bytes ever held for all."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == video]:
                self._forget(key)
            counts = {"features_hits": 0, "features_evicted": 0, "features_recomputed": 0, "out_of_memory": 0}
            return {**counts, **self._counts.pop(video, Counter()), "features_high_water": self._high_water}

    def _made(self, video: int, frame: Frame) -> FeaturesT:
        """Encode; where memory runs out, with ever less beside it."""
        while True:
            try:
                return self._encode(frame)
            except Exception as exc:
                if not _is_out_of_memory(exc) or not self._shrink(video):
                    raise

    def _shrink(self, video: int) -> bool:
        """Hold half as much from now on; False where nothing is held."""
        with self._lock:
            if not self._held:
                return False
            self._counts[video]["out_of_memory"] += 1
            self._budget = self._held // 2
            self._evict()
        self._release()
        return True

    def _evict(self) -> None:
        first: dict[int, int] = {}
        for video, index in self._entries:
            first[video] = min(index, first.get(video, index))
        by_need = sorted(self._entries, key=lambda key: (key[1] - first[key[0]], key), reverse=True)
        for key in by_need:
            if self._held <= self._budget:
                return
            entry = self._entries[key]
            if entry.features is not None:
                entry.features = None
                self._held -= entry.size
                self._counts[key[0]]["features_evicted"] += 1

    def _forget(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None and entry.features is not None:
            self._held -= entry.size


def _is_out_of_memory(exc: Exception) -> bool:
    # By its name, as workers of other kinds do without torch
    return isinstance(exc, MemoryError) or type(exc).__name__ == "OutOfMemoryError"
