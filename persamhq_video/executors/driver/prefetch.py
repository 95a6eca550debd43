"""Frames decoded in a thread of their own, a few ahead of whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from queue import Empty, Full, Queue
from typing import Final

from persamhq_video.types import Frame

__all__ = ["Decoding"]

_DEPTH: Final = 2
_POLL_SECONDS: Final = 0.05

Polled = tuple[Frame | None, bool, BaseException | None]


class Decoding:
    """`frames` is called and read in the thread; `wake` is called whenever there is something to poll."""

    def __init__(self, frames: Callable[[], Iterator[Frame]], *, wake: Callable[[], None]) -> None:
        self._frames, self._wake = frames, wake
        self._queue: Queue[Polled] = Queue(maxsize=_DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="decode", daemon=True)
        self._thread.start()

    def poll(self) -> Polled:
        """A frame or None, whether it is over, and the error that ended it; nothing is waited for."""
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
            frames = self._frames()
            for frame in frames:
                if not self._put((frame, False, None)):
                    break
        except BaseException as exc:  # noqa: BLE001 - whoever waits has to be told
            error = exc
        finally:
            if isinstance(frames, Generator):
                frames.close()
        self._put((None, True, error))

    def _put(self, polled: Polled) -> bool:
        """Wait for room; False once nobody asks any more."""
        while not self._stop.is_set():
            try:
                self._queue.put(polled, timeout=_POLL_SECONDS)
            except Full:
                continue
            self._wake()
            return True
        return False
