"""The client of an executor: one video with its frames, and whoever takes its results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from persamhq_video.executors.usage import TotalUsage, Tracked
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import CallKind, Frame

__all__ = ["CallKind", "Client", "Continuation"]


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """Where an earlier attempt stopped: the first frame to track, and the state after the one before it."""

    next_index: int
    state: Any


class Client(Protocol):
    """One video: where its frames come from, and who is told of its results.

    The scheduler's thread makes every call but those to `frames`, which runs in a thread of its own; none may take
    long.
    """

    labels: NDArray[np.uint8]
    """(H, W) object ids on the first frame."""
    continuation: Continuation | None
    """None from the start."""
    source: FrameSource | None
    """What the frames are decoded from, if a worker could do that too."""
    failure: BaseException | None
    """Why it wants no more results, such as a full disk; None while it does."""

    def frames(self) -> Iterator[Frame]:
        """Frame 0, and then every frame that is still to be tracked."""
        ...

    def begun(self, kind: CallKind, index: int) -> None:
        """Told before each call about a frame."""
        ...

    def deliver(self, tracked: Tracked) -> None:
        """Take a result; they come in frame order, frame 0 only from the start."""
        ...

    def snapshot(self, index: int, state: Any) -> None:
        """Take the state after a frame that was delivered."""
        ...

    @property
    def safe_until(self) -> int:
        """The last frame that need not be tracked again if all ends now, -1 where there is none."""
        ...

    @property
    def backlog(self) -> int:
        """How many results were delivered and wait."""
        ...

    def ended(self, usage: TotalUsage, error: BaseException | None) -> None:
        """All frames are through, or no more will come for that reason (KeyboardInterrupt: it was asked to stop)."""
        ...
