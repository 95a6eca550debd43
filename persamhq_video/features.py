"""Features of frames that are encoded and not tracked yet, within a budget of bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from persamhq_video.types import Frame

FeaturesT = TypeVar("FeaturesT")


@dataclass(frozen=True, slots=True)
class StoreCounters:
    """What happened in a store: takes that found features, features dropped, features made again, most bytes held."""

    hits: int = 0
    evictions: int = 0
    recomputes: int = 0
    high_water: int = 0


@dataclass(slots=True)
class _Entry(Generic[FeaturesT]):
    frame: Frame
    features: FeaturesT | None
    size: int


class FeatureStore(Generic[FeaturesT]):
    """Holds features until their frame is tracked; safe to use from several threads.

    A frame stays until it is taken, so that features dropped for lack of room can be made again. The frame that will
    be tracked last is dropped first.
    """

    def __init__(
        self, *, budget: int, encode: Callable[[Frame], FeaturesT], size_of: Callable[[FeaturesT], int]
    ) -> None:
        self._budget, self._encode, self._size_of = budget, encode, size_of
        self._entries: dict[int, _Entry[FeaturesT]] = {}
        self._held = self._hits = self._evictions = self._recomputes = self._high_water = 0
        self._lock = threading.Lock()

    def encode(self, frame: Frame) -> int:
        """Encode a frame, keep what fits, and tell the bytes its features take."""
        features = self._encode(frame)
        size = self._size_of(features)
        with self._lock:
            self._entries[frame.index] = _Entry(frame, features, size)
            self._held += size
            self._evict()
            self._high_water = max(self._high_water, self._held)
        return size

    def take(self, index: int) -> FeaturesT:
        """The features of a frame that was encoded here; they leave the store."""
        with self._lock:
            entry = self._entries.pop(index)
            if entry.features is not None:
                self._held -= entry.size
                self._hits += 1
                return entry.features
            self._recomputes += 1
        return self._encode(entry.frame)

    @property
    def counters(self) -> StoreCounters:
        """What happened so far."""
        with self._lock:
            return StoreCounters(self._hits, self._evictions, self._recomputes, self._high_water)

    def _evict(self) -> None:
        for index in sorted(self._entries, reverse=True):
            if self._held <= self._budget:
                return
            entry = self._entries[index]
            if entry.features is not None:
                entry.features = None
                self._held -= entry.size
                self._evictions += 1
