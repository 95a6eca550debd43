"""One video under way: the frames between decoding and delivery, and the state that travels through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from persamhq_video.errors import DecodeError
from persamhq_video.executors.client import Client
from persamhq_video.executors.driver.frame_task import Item
from persamhq_video.executors.driver.prefetch import Decoding
from persamhq_video.executors.driver.worker_slot import Desk
from persamhq_video.executors.usage import TotalUsage, Tracked, Usage
from persamhq_video.types import Frame, FrameResult

__all__ = ["MOST_AGAIN", "STATE_INTERVAL", "Follow", "Item"]

STATE_INTERVAL: Final = 8
"""The state is fetched by value after so many frames; a segment of a video is a whole number of these."""
MOST_AGAIN: Final = 16
"""Frames beyond the last state on the disk are tracked up to here, so that no end of the run costs more."""


class Follow:
    """The fold over one video's frames; `number` names it to the workers."""

    def __init__(self, number: int, client: Client, decoding: Decoding, *, chained: bool) -> None:
        self.number, self.client, self.decoding, self.chained = number, client, decoding, chained
        self.home: Desk | None = None
        self.last_desk: Desk | None = None
        self.items: deque[Item] = deque()
        self.usages: list[Usage] = []
        self.unanswered_closings = 0
        self.failure: BaseException | None = None
        self.target: Any = None
        self.has_begun = False
        self.rewinds = 0
        self.owes_state = False
        self._state: Any = None
        self._held: tuple[int, Any] | None = None
        self._since: deque[Frame] = deque()
        self._delivered = 0
        self._source_error: BaseException | None = None
        self._exhausted = False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do but to collect the usage."""
        if self.failure is not None:
            return True
        return self.has_begun and self._exhausted and not self.items

    def next_frame(self) -> Frame | None:
        """A decoded frame, None where there is none yet or no more; why decoding broke off is kept for its turn."""
        if self._exhausted:
            return None
        frame, ended, error = self.decoding.poll()
        if ended:
            self._exhausted = True
            self._source_error = error
            self._fail_in_turn()
        return frame

    def begin(self, *, target: Any, state: Any, first: Tracked) -> None:
        """The first frame is through."""
        self.target, self.has_begun = target, True
        going_on = self.client.continuation
        if going_on is None:
            self._state, self._held, self._delivered = state, (0, state), 1
            self.client.deliver(first)
        else:
            last = going_on.next_index - 1
            self._state, self._held, self._delivered = going_on.state, (last, going_on.state), going_on.next_index
        self._fail_in_turn()

    def add(self, frame: Frame) -> Item:
        """A frame that was decoded."""
        item = Item(self, frame)
        self.items.append(item)
        return item

    def trackable(self) -> Iterator[Item]:
        """The frames that can be tracked now: the next one of a chain, else whatever is encoded."""
        for item in self.items:
            if item.is_trackable:
                yield item
            if self.chained:
                return

    def may_track(self, item: Item) -> bool:
        """Whether a run that is killed then would not have too much to track again."""
        return item.index - self.client.safe_until <= MOST_AGAIN

    @property
    def state(self) -> Any:
        """What the next frame is tracked from."""
        return self._state

    def tracked(self, item: Item, result: FrameResult) -> bool:
        """A frame has its result; whether the state that came with it is to be fetched by value now."""
        item.result = result
        if not self.chained:
            return False
        self._state = item.coming
        self._since.append(item.frame)
        return self.owes_state or _is_saved(item.index)

    @property
    def newest(self) -> int:
        """The frame that `state` is the state after."""
        return self._next_index() - 1

    def hold(self, index: int, state: Any) -> None:
        """A state is here by value: that is where a lost one is made up from."""
        self.owes_state = False
        if index < self._next_index():
            self._held = (index, state)
            while self._since and self._since[0].index <= index:
                self._since.popleft()
            if index < self._delivered:
                self.client.snapshot(index, state)

    def keep_first_state(self) -> None:
        """Without a chain every frame is tracked from the first state, so what is delivered is safe."""
        assert self._held is not None
        self.client.snapshot(self._delivered - 1, self._held[1])

    def rewind(self) -> None:
        """Go back to the last state held by value; the frames since then are encoded and tracked again."""
        assert self._held is not None
        self.rewinds += 1
        self.owes_state = False
        _, self._state = self._held
        again = [Item(self, frame) for frame in self._since]
        self._since.clear()
        self.items.extendleft(reversed(again))

    def deliver(self) -> None:
        """Hand on what is ready, in order; the first frame that failed ends the video."""
        while self.items and self.failure is None:
            item = self.items[0]
            if item.error is not None:
                self.failure = item.error
            elif item.result is not None:
                self.items.popleft()
                if item.index >= self._delivered:
                    self.client.deliver(Tracked(item.frame, item.result))
                    self._delivered = item.index + 1
                    if not self.chained and _is_saved(item.index):
                        self.keep_first_state()
            else:
                return
        self._fail_in_turn()

    def end(self, error: BaseException | None) -> None:
        """Tell the client, with what the workers did."""
        self.decoding.close()
        self.client.ended(TotalUsage.of(self.usages), error)

    def _next_index(self) -> int:
        return self._since[-1].index + 1 if self._since else (self._held[0] + 1 if self._held else 0)

    def _fail_in_turn(self) -> None:
        if self._exhausted and not self.items and self.failure is None:
            nothing = None if self.has_begun else DecodeError("the source ends before its first frame", frame=0)
            self.failure = self._source_error or nothing


def _is_saved(index: int) -> bool:
    """Whether the state after that frame is kept."""
    return (index + 1) % STATE_INTERVAL == 0
