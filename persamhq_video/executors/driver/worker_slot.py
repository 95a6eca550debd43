"""The scheduler's account of one worker: the frames it holds, the calls it was sent, and how long they have taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from persamhq_video.executors.client import CallKind
from persamhq_video.executors.driver.frame_task import FrameTask

__all__ = ["AwakeClock", "CallQueue", "Clock", "WorkerSlot"]

Clock = Callable[[], float]
"""Seconds from any fixed moment on, as `time.monotonic` gives them."""


_LONGEST_STEP: Final = 10.0
"""Seconds between two looks at the clock. The scheduler looks twice a second; longer means that it all stood still."""


class AwakeClock:
    """Seconds in which this process ran: a job that was stopped (Ctrl-Z) or a machine that slept is not a hang."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._last, self._seconds = clock, clock(), 0.0

    def __call__(self) -> float:
        """Seconds since the first look."""
        now = self._clock()
        self._seconds += min(now - self._last, _LONGEST_STEP)
        self._last = now
        return self._seconds


class CallQueue:
    """Calls of one kind that a worker was sent; it answers them one after the other."""

    def __init__(self, clock: Clock) -> None:
        self.tasks: list[FrameTask] = []
        self._clock = clock
        self._oldest_since = 0.0

    def add(self, task: FrameTask) -> None:
        """A call about that frame was sent."""
        if not self.tasks:
            self._oldest_since = self._clock()
        self.tasks.append(task)

    def remove(self, task: FrameTask) -> None:
        """The call about that frame was answered; the time of the next one starts now."""
        self.tasks.remove(task)
        self._oldest_since = self._clock()

    def oldest_seconds(self) -> float:
        """Seconds since the oldest call was sent, or the one before it was answered; 0 where there is none."""
        return self._clock() - self._oldest_since if self.tasks else 0.0


class WorkerSlot:
    """One worker by number; it survives the worker's death, and its replacement takes it over.

    holding: frames placed on the worker and not tracked yet; `capacity` of them fit.
    suspects_waiting: suspect frames that wait until the worker is idle. A suspect frame is worked on alone, so that
    another death shows which frame was at fault; until then the worker takes no other call.
    """

    def __init__(self, number: int, *, capacity: int, clock: Clock) -> None:
        self.number, self.capacity = number, capacity
        self.ready = True
        self.holding: set[FrameTask] = set()
        self.suspects_waiting: set[FrameTask] = set()
        self._clock = clock
        self._queues = self._empty_queues()

    @property
    def free(self) -> int:
        """How many more frames fit; negative where the capacity shrank, 0 while the worker is being replaced."""
        return self.capacity - len(self.holding) if self.ready else 0

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not any(queue.tasks for queue in self._queues.values())

    def accepts(self, task: FrameTask) -> bool:
        """Whether a call about that frame may be sent now; a suspect frame that may not is noted as waiting."""
        if not self.ready:
            return False
        if task.suspect:
            self.suspects_waiting.add(task)
            return self.idle
        suspect_under_way = any(busy.suspect for queue in self._queues.values() for busy in queue.tasks)
        return not suspect_under_way and not self.suspects_waiting

    def call_sent(self, task: FrameTask, kind: CallKind) -> None:
        """Enter a call about that frame."""
        task.call_kind = kind
        self._queues[kind].add(task)

    def call_answered(self, task: FrameTask) -> None:
        """Remove the call about that frame."""
        self._queues[task.call_kind].remove(task)

    def release(self, task: FrameTask) -> None:
        """The frame is tracked, or not wanted any more."""
        self.holding.discard(task)

    def under_way(self) -> list[FrameTask]:
        """The frames that the worker is working on: the oldest call of each kind."""
        return [queue.tasks[0] for queue in self._queues.values() if queue.tasks]

    def hanging(self, timeout: float) -> list[FrameTask]:
        """The frames that the worker has been working on for more than `timeout` seconds."""
        return [queue.tasks[0] for queue in self._queues.values() if queue.oldest_seconds() > timeout]

    def clear(self) -> list[FrameTask]:
        """Empty the slot of a worker that is gone; the frames it held."""
        lost = list(self.holding)
        self.holding.clear()
        self.suspects_waiting.clear()
        self._queues = self._empty_queues()
        return lost

    def _empty_queues(self) -> dict[CallKind, CallQueue]:
        return {"encode": CallQueue(self._clock), "track": CallQueue(self._clock)}
