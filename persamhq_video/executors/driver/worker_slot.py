"""A worker as the scheduler sees it: what it holds, what it was asked for, and since when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from persamhq_video.executors.client import Stage

if TYPE_CHECKING:
    from persamhq_video.executors.driver.frame_task import Item

__all__ = ["Desk", "Lane"]


@dataclass(slots=True, eq=False)
class Lane:
    """Calls of one kind, which a worker makes one after the other; `since`: when the first of them began, at most."""

    stage: Stage
    items: list[Item] = field(default_factory=list)
    since: float = 0.0

    def add(self, item: Item) -> None:
        """One more call, about that frame."""
        if not self.items:
            self.since = time.monotonic()
        self.items.append(item)

    def remove(self, item: Item) -> None:
        """That call has ended."""
        self.items.remove(item)
        self.since = time.monotonic()

    def has_taken(self) -> float:
        """Seconds that the call under way has taken so far."""
        return time.monotonic() - self.since if self.items else 0.0


@dataclass(slots=True, eq=False)
class Desk:
    """One worker.

    holding: frames that it encodes or has encoded, and that are not tracked yet; `most` of them fit. A frame at which a
    worker died is handled alone, so that it is known which one was at fault.
    """

    number: int
    most: int
    ready: bool = True
    holding: set[Item] = field(default_factory=set)
    encoding: Lane = field(default_factory=lambda: Lane("encode"))
    tracking: Lane = field(default_factory=lambda: Lane("track"))
    waiting_alone: set[Item] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many more frames it can take."""
        return self.most - len(self.holding) if self.ready else 0

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return not self.encoding.items and not self.tracking.items

    def accepts(self, item: Item) -> bool:
        """Whether a call about that frame may be made now; a suspect frame waits until it can be alone."""
        if not self.ready:
            return False
        if item.suspect:
            self.waiting_alone.add(item)
            return self.idle
        alone = any(busy.suspect for busy in (*self.encoding.items, *self.tracking.items))
        return not alone and not self.waiting_alone

    def ask(self, item: Item, lane: Lane) -> None:
        """A call about that frame is made."""
        item.stage = lane.stage
        lane.add(item)

    def release(self, item: Item) -> None:
        """The frame is tracked, or not wanted any more."""
        self.holding.discard(item)

    def under_way(self) -> list[Item]:
        """The frames that it is working on."""
        return [lane.items[0] for lane in (self.encoding, self.tracking) if lane.items]

    def hanging(self, timeout: float) -> list[Item]:
        """The frames that it has been working on for too long."""
        return [lane.items[0] for lane in (self.encoding, self.tracking) if lane.has_taken() > timeout]

    def clear(self) -> list[Item]:
        """Take everything away; what it held."""
        lost = list(self.holding)
        self.holding.clear()
        self.waiting_alone.clear()
        self.encoding, self.tracking = Lane("encode"), Lane("track")
        return lost
