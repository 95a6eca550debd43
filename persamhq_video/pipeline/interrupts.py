"""Interrupts (SIGINT) while a job runs: the first one stops the executor cleanly, the second one is the caller's."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from persamhq_video.executors import Executor

__all__ = ["Interrupts", "SignalHandler"]

SignalHandler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """The first SIGINT stops the executor cleanly, the second one goes to `second`; also while workers end.

    Only the main thread may be told of signals; in another one nothing is changed.
    """

    def __init__(self, second: SignalHandler) -> None:
        self.executor: Executor | None = None
        self._second = second
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._second)
        # While workers are started there is nothing to be stopped cleanly
        if self.executor is None:
            signal.default_int_handler(number, frame)
        else:
            self.executor.stop()
