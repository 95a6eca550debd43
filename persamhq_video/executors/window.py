"""How far encoding runs ahead of tracking: a number of frames, fewer where their features would not fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Window:
    """At most `frames` a worker, and no more than `budget` bytes of features once the size of one is known."""

    def __init__(self, *, frames: int, budget: int, workers: int = 1, block: int = 1) -> None:
        self._frames, self._budget = frames, budget
        self._workers, self._block = workers, block

    def saw(self, size: int) -> None:
        """Learn how many bytes the features of a frame take."""
        self._frames = max(1, min(self._frames, self._budget // max(1, size)))

    @property
    def limit(self) -> int:
        """How many neighbouring frames may be under way, so that no worker holds more than its share.

        Blocks of frames go round the workers; so many whole rounds put the same number of frames on every worker,
        while less than a block may lie on one worker alone.
        """
        blocks = self._frames // self._block
        return blocks * self._block * self._workers if blocks else self._frames


def submit_ahead(items: Iterable[T], submit: Callable[[T], S], window: Window) -> Iterator[S]:
    """Submit every item, and hand back what was submitted in the same order, as many behind as the window says.

    Where the items break off with an error, what was submitted before is handed back first.
    """
    waiting: deque[S] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            while len(waiting) >= window.limit:
                yield waiting.popleft()
    except Exception:
        yield from waiting
        raise
    yield from waiting
