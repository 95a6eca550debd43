"""Decoding ahead of the scheduler: a thread per video reads its frames, so that the driver's loop waits for none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from queue import Empty, Full, Queue
from typing import Final

from persamhq_video.types import Frame

__all__ = ["Polled", "Prefetcher"]

_DEPTH: Final = 2
"""Decoded frames that wait. One is there when the scheduler asks while the next is decoded; more would only cost memory
(a 4K frame has 25 MB), since the workers hold what runs ahead."""
_POLL_SECONDS: Final = 0.05
"""How often a thread that waits for room looks whether it was closed."""

Polled = tuple[Frame | None, bool, BaseException | None]
"""A frame or None, whether the source has ended, and the error that ended it."""


class Prefetcher:
    """Reads `frames` in a thread of its own; `wake` is called whenever there is something to poll."""

    def __init__(self, frames: Callable[[], Iterator[Frame]], *, wake: Callable[[], None]) -> None:
        self._frames, self._wake = frames, wake
        self._queue: Queue[Polled] = Queue(maxsize=_DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="decode", daemon=True)
        self._thread.start()

    def poll(self) -> Polled:
        """What is there now; nothing is waited for."""
        try:
            return self._queue.get_nowait()
        except Empty:
            return None, False, None

    def close(self) -> None:
        """Stop after the frame that is being decoded."""
        self._stop.set()
        self._thread.join()

    def _fill(self) -> None:
        error: BaseException | None = None
        frames: Iterator[Frame] | None = None
        try:
            # `frames` is called here and not by the caller: opening a source can take as long as decoding does.
            frames = self._frames()
            for frame in frames:
                if not self._put((frame, False, None)):
                    break
        except BaseException as exc:  # noqa: BLE001 - the scheduler has to be told
            error = exc
        finally:
            # A generator that is not exhausted holds files open; they are closed in the thread that opened them.
            if isinstance(frames, Generator):
                frames.close()
        self._put((None, True, error))

    def _put(self, polled: Polled) -> bool:
        """Wait for room; False once the prefetcher is closed."""
        while not self._stop.is_set():
            try:
                self._queue.put(polled, timeout=_POLL_SECONDS)
            except Full:
                continue
            self._wake()
            return True
        return False
