"""The interface between the scheduler and its workers, be they threads of this process or Ray actors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.io.readers.open import FrameSource
from persamhq_video.types import CallKind, Frame

__all__ = ["RAY_FRAMES_AHEAD", "Call", "Mailbox", "Message", "Pool", "StateLostError", "WorkerLostError"]

RAY_FRAMES_AHEAD: Final = 8
"""Frames that an actor may hold or have under way: two blocks of 4 neighbours (see `placement`), so that it encodes one
while the state is at the other, or elsewhere. A smaller feature budget lowers it."""


class WorkerLostError(Exception):
    """The worker that a call went to is gone; whatever it held is gone with it."""


class StateLostError(Exception):
    """The state that a call was to start from is gone with the machine that held it; the worker is well."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request to a worker; `answer` takes the reply in, in the scheduler's thread."""

    worker: int
    answer: Callable[[Message], None]


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """How a call ended: with a value, or with an error; a message without a call only wakes the scheduler."""

    call: Call | None
    value: Any = None
    error: BaseException | None = None


Mailbox = SimpleQueue[Message]


class Pool(Protocol):
    """Workers by number. Nothing here waits: replies come to the mailbox, in any order.

    An error is a PersamHQVideoError of the call itself, a WorkerLostError or a StateLostError.
    """

    size: int
    """How many workers there are."""
    frames_ahead: int
    """How many frames each worker may hold or have under way, if its memory allows."""
    replaceable: bool
    """Whether workers can be lost and started anew."""
    mailbox: Mailbox

    def __enter__(self) -> Self:
        """Start the workers and let each build its tracker; what does not fit is said here."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Stop everything that `__enter__` started."""
        ...

    @property
    def chained(self) -> bool:
        """Whether frame t needs the state of frame t-1."""
        ...

    def announce(self, video: int, source: FrameSource | None) -> None:
        """Take up a video; where workers decode themselves, they read it from `source`."""
        ...

    def begin(self, call: Call, video: int, frame: Frame, labels: NDArray[np.uint8]) -> None:
        """Personalize on the first frame; the reply is a Beginning, whose target any worker can be sent."""
        ...

    def encode(self, call: Call, video: int, frame: Frame) -> None:
        """Encode a frame and keep its features on that worker; the reply is their FeatureFootprint."""
        ...

    def track(self, call: Call, video: int, *, target: Any, state: Any, index: int) -> Any:
        """One step on a frame that is kept there; the reply is its FrameResult.

        Returns the state to come at once: a handle that the next `track` and `fetch` take.
        """
        ...

    def fetch(self, call: Call, state: Any) -> None:
        """Copy a state to the driver; the reply is the state by value, safe from any loss."""
        ...

    def close_video(self, call: Call, video: int) -> None:
        """Forget a video; the reply is its Usage on that worker."""
        ...

    def replace(self, call: Call) -> None:
        """End a worker, if it lives, and start another in its place; the reply comes once that one is ready."""
        ...

    def abandon(self, call: Call, kind: CallKind) -> str | None:
        """Wait no more for a call that hangs; what it is busy with, if that is known.

        Where workers cannot be replaced the pool is of no use afterwards, and leaving it does not wait either.
        """
        ...
