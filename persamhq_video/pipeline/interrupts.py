"""Interrupts while a job runs: the first one stops the executor cleanly, the second one is the caller's.

SIGINT is what Ctrl-C sends, SIGTERM what batch systems and containers end a process with; here they mean the same.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Self

from persamhq_video.executors import Executor

__all__ = ["Interrupts", "SignalHandler"]

SignalHandler = Callable[[int, FrameType | None], Any]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The first SIGINT or SIGTERM stops the executor cleanly, the second one goes to `second`; also while workers end.

    Only the main thread may be told of signals; in another one nothing is changed.
    """

    def __init__(self, second: SignalHandler) -> None:
        self.executor: Executor | None = None
        self.happened = False
        self._second = second
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            # None: a handler that was not installed from Python, and cannot be put back from there
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        for each in _SIGNALS:
            signal.signal(each, self._second)
        # While workers are started there is nothing to be stopped cleanly
        if self.executor is None:
            signal.default_int_handler(number, frame)
        else:
            self.executor.stop()
