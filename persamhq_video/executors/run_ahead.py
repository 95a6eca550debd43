"""Two stages at once: an iterator that runs in a thread of its own, a bounded number of items ahead."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from typing import Final, TypeVar

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def run_ahead(items: Iterator[T], *, depth: int, name: str) -> Generator[T, None, None]:
    """The same items in the same order, made in a thread; an error comes after the items before it.

    Closing the generator stops the thread after the item it is working on, and closes `items` in that thread.
    """
    queue: Queue[T | _End] = Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, queue, stop), name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterator[T], queue: Queue[T | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, stop):
                break
    except BaseException as exc:  # noqa: BLE001 - it is raised again where the items are read
        error = exc
    finally:
        if isinstance(items, Generator):
            items.close()
    _put(queue, _End(error), stop)


def _put(queue: Queue[T | _End], item: T | _End, stop: threading.Event) -> bool:
    """Wait for room; False once nobody reads any more."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL_SECONDS)
        except Full:
            continue
        return True
    return False
