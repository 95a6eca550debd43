"""A tracker of numpy and hashes: any frame that comes out of order, twice or from another image shows in the masks.

The first pixel of frame 5 makes it misbehave: red raises, green interrupts, blue ends the process, yellow hangs; white
ends the process while the frame is encoded. Each stage takes STAND_IN_SECONDS, and a state is STAND_IN_BYTES larger
than it need be.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from persamhq_video.protocols.tracker import Beginning
from persamhq_video.types import Frame, FrameResult, ObjectResult

MODULE = "stand_ins.tracker"
TRAPPED_FRAME = 5
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
YELLOW, WHITE = (255, 255, 0), (255, 255, 255)


@dataclass(frozen=True)
class Features:
    frame_index: int
    pts: int
    time_base: Fraction
    name: str
    digest: bytes
    first_pixel: tuple[int, ...]
    size: int


class HashTracker:
    """Shifts the first masks by as much as a running hash of everything seen so far says."""

    def __init__(self, config: Any, selector: Any, refiners: Any) -> None:
        self.chained = config.mode != "independent"
        names = [type(strategy.call).__name__ for strategy in (selector, *refiners)]
        self._strategies = " ".join(names)
        self._lock = threading.Lock()
        self._tracked = 0

    def begin(self, frame: Frame, labels: np.ndarray) -> Beginning:
        return self.begin_encoded(self.encode(frame), labels)

    def begin_encoded(self, features: Features, labels: np.ndarray) -> Beginning:
        state = hashlib.sha256(features.digest + labels.tobytes() + self._strategies.encode()).digest()
        return Beginning(target=labels, state=state, result=_result(features, labels, state="given"))

    def encode(self, frame: Frame) -> Features:
        _take_time()
        digest = hashlib.sha256(frame.image.tobytes()).digest()
        pixel = tuple(int(value) for value in frame.image[0, 0])
        if frame.index == TRAPPED_FRAME and pixel == WHITE:
            os._exit(1)
        return Features(frame.index, frame.pts, frame.time_base, frame.name, digest, pixel, frame.image.nbytes)

    def track(self, target: np.ndarray, state: bytes, features: Features) -> tuple[bytes, FrameResult]:
        _take_time()
        if features.frame_index == TRAPPED_FRAME:
            _misbehave(features.first_pixel)
        with self._lock:
            self._tracked += 1
        digest = hashlib.sha256(state[:32] + features.digest).digest()
        return digest + bytes(int(os.environ.get("STAND_IN_BYTES", "0"))), _result(
            features, np.roll(target, digest[0], axis=1), state="present"
        )

    def feature_bytes(self, features: Features) -> dict[str, int]:
        return {"image": features.size}

    def counts(self) -> dict[str, int]:
        return {"tracked": self._tracked}


def weights_path(config: Any) -> Path:
    return Path(__file__)


@dataclass(frozen=True)
class HashTrackerBuilder:
    """See `persamhq_video.job.tracker_builder.TrackerBuilder`."""

    state_types: ClassVar[tuple[type, ...]] = ()

    def build(self, config: Any, selector: Any, refiners: Any) -> HashTracker:
        return HashTracker(config, selector, refiners)

    def weights_path(self, config: Any) -> Path:
        return weights_path(config)


BUILDER = HashTrackerBuilder()


def _misbehave(pixel: tuple[int, ...]) -> None:
    if pixel == RED:
        raise RuntimeError("the stand-in does not like red")
    if pixel == GREEN:
        raise KeyboardInterrupt
    if pixel == BLUE:
        os._exit(1)
    if pixel == YELLOW:
        time.sleep(3600)


def _take_time() -> None:
    time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))


def _result(features: Features, labels: np.ndarray, *, state: Any) -> FrameResult:
    objects = tuple(_object(labels, int(i), state=state) for i in np.unique(labels) if i)
    return FrameResult(features.frame_index, features.pts, features.time_base, features.name, labels, objects)


def _object(labels: np.ndarray, object_id: int, *, state: Any) -> ObjectResult:
    rows, columns = np.nonzero(labels == object_id)
    box = (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
    return ObjectResult(object_id, state, score=1.0, similarity=0.5, predicted_iou=0.75, area=len(rows), box=box)
