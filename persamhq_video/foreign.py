"""Calls into foreign code: whatever a plugin raises is contained, and what every thread is busy with is known.

Foreign code ends in many ways that are no `Exception`: `sys.exit()` in a script that was not meant to be imported, a
library's own BaseException, an error whose text cannot be made. None of them may end a run without a word.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from persam_hq.errors import error_line

__all__ = ["contained", "failure_text", "running"]

_RUNNING: Final[dict[int, list[str]]] = {}
"""The foreign code that each thread is in, by the thread's identifier, the innermost last."""


@contextmanager
def contained(
    what: str, failed: Callable[[str, BaseException], Exception], *, passing: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Whatever the foreign code inside raises becomes the error that `failed` makes of its text, and of itself.

    `what` names the code, for `running`. Errors of the types `passing` have a message for users already. Ctrl-C passes,
    but not a KeyboardInterrupt that the code raised itself.
    """
    here = threading.get_ident()
    _RUNNING.setdefault(here, []).append(what)
    interrupts = _Interrupts()
    try:
        with interrupts:
            yield
    except passing:
        raise
    except BaseException as exc:
        if interrupts.seen:
            raise
        raise failed(failure_text(exc), exc) from exc
    finally:
        _RUNNING[here].pop()
        if not _RUNNING[here]:
            del _RUNNING[here]


def running(thread: int) -> str | None:
    """The foreign code that a thread is in, None where it is in none; callable from any other thread."""
    names = list(_RUNNING.get(thread, ()))
    return names[-1] if names else None


def failure_text(error: BaseException) -> str:
    """A foreign error as one line; its own text is code of the plugin too, and may fail."""
    try:
        text = error_line(error)
    except Exception:  # noqa: BLE001 - whatever its __str__ raises
        return type(error).__name__
    return f"it called sys.exit() ({text})" if isinstance(error, SystemExit) else text


class _Interrupts:
    """Notes whether SIGINT came, as the KeyboardInterrupt of Ctrl-C looks like one that a plugin raises.

    Python tells only the main thread of signals, so in others, and where no Python function handles SIGINT, none comes.
    """

    def __init__(self) -> None:
        self.seen = False
        self._before: Callable[[int, FrameType | None], object] | None = None

    def __enter__(self) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._before = handler
            signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *exc: object) -> None:
        # The handler before may have put another one in its place, which then stays
        if self._before is not None and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        if self._before is not None:
            self._before(number, frame)
