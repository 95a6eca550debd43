"""Calls into foreign code: whatever a plugin raises is contained, and what every thread is busy with is known.

Foreign code ends in many ways that are no `Exception`: `sys.exit()` in a script that was not meant to be imported, a
library's own BaseException, an error whose text cannot be made. None of them may end a run without a word.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final, Self, TypeVar

from persam_hq.errors import error_line
from persamhq_video.errors import HangError

__all__ = ["TimedThread", "contained", "failure_text", "running", "running_by_stage"]

T = TypeVar("T")

_RUNNING: Final[dict[int, list[str]]] = {}
"""The foreign code that each thread is in, by the thread's identifier, the innermost last."""
_STEP: Final = 1.0
"""Seconds between two looks at a call that is waited for; a stopped process loses no more of the limit than that."""


@contextmanager
def contained(
    what: str, failed: Callable[[str, BaseException], Exception], *, passing: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Whatever the foreign code inside raises becomes the error that `failed` makes of its text, and of itself.

    `what` names the code, for `running`. Errors of the types `passing` have a message for users already. Ctrl-C passes,
    but not a KeyboardInterrupt that the code raised itself.
    """
    interrupts = _Interrupts()
    try:
        with _noted(what), interrupts:
            yield
    except passing:
        raise
    except BaseException as exc:
        if interrupts.seen:
            raise
        raise failed(failure_text(exc), exc) from exc


@contextmanager
def _noted(what: str) -> Iterator[None]:
    """Note what this thread is in."""
    here = threading.get_ident()
    _RUNNING.setdefault(here, []).append(what)
    try:
        yield
    finally:
        _RUNNING[here].pop()
        if not _RUNNING[here]:
            del _RUNNING[here]


def running(thread: int) -> str | None:
    """The foreign code that a thread is in, None where it is in none; callable from any other thread."""
    names = list(_RUNNING.get(thread, ()))
    return names[-1] if names else None


def running_by_stage() -> dict[str, str]:
    """The foreign code that each thread of this process is in, by what contains it; callable from any thread."""
    stacks = [list(names) for names in list(_RUNNING.values())]
    return {names[0]: names[-1] for names in stacks if names}


class TimedThread:
    """A thread of its own for foreign code that may not come back; whoever asks for a call waits for `limit` seconds.

    One thread for all calls, as what one call opens may be of use in no other thread. Without a limit, calls are made
    where they are asked for.
    """

    def __init__(self, what: str, *, limit: float | None) -> None:
        self.hangs = False
        """Whether a call did not come back; no other one can be made."""
        self._what, self._limit = what, limit
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="foreign", daemon=True)
        self._alive = 0

    def __enter__(self) -> Self:
        if self._limit is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._calls.put(None)

    def alive(self) -> None:
        """Say that the call under way gets on: its time starts anew."""
        self._alive += 1

    def call(self, work: Callable[[], T]) -> T:
        """What the call returns or raises; a HangError where it does not come back."""
        if self._limit is None:
            return work()
        ended = threading.Event()
        returned: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                returned.append(work())
            except BaseException as exc:  # noqa: BLE001 - raised where the call was asked for
                raised.append(exc)
            ended.set()

        self._calls.put(run)
        try:
            with _noted(self._what):
                self._wait(ended, self._limit)
        except BaseException:  # also where whoever waits is interrupted
            self.hangs = True
            raise
        if raised:
            raise raised[0]
        return returned[0]

    def _wait(self, ended: threading.Event, limit: float) -> None:
        left, alive = limit, self._alive
        while not ended.wait(min(left, _STEP)):
            # In steps, as in the time of a process that is stopped (Ctrl-Z) nothing can get on
            left -= _STEP
            if alive != self._alive:
                left, alive = limit, self._alive
            if left <= 0:
                busy = running(self._thread.ident or 0) or self._what
                raise HangError(
                    f"{busy} hangs: it took more than {limit:g} s (--call-timeout); the committed frames are kept"
                )

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


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
