"""The console of a command: streams that can be written to whatever they are, and an end as shells expect it.

Standard streams may be closed (services, `2>&-`), missing (pythonw), full, of an encoding that lacks most letters, or
read by a program that has seen enough (`| head`).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO, cast

from persam_hq.io.text.shown_text import printable, redact_secrets

__all__ = ["OUTPUT_LOST", "READER_GONE", "bar_stream", "drop_output", "run_on_console", "takes_all_letters"]

READER_GONE: Final = 141
"""128 + SIGPIPE, the exit code that shells show of a command whose output nobody reads any more."""

OUTPUT_LOST: Final = 3
"""As for a video that could not be completed: the command went well, but its output did not."""


def run_on_console(command: Callable[[], int]) -> int:
    """Run a command whose prints are safe to show; returns its exit code, or READER_GONE where nobody reads them.

    What is printed has neither secrets nor escape sequences, and letters that the console lacks are written as escapes.
    What cannot be written to standard error is dropped.
    """
    _fill_descriptors()
    before = sys.stdout, sys.stderr
    output, errors = _usable(before[0]), _usable(before[1])
    sys.stdout, sys.stderr = cast("TextIO", _Shown(output)), cast("TextIO", _Shown(errors, forgiving=True))
    try:
        return _code_of(command, output)
    except BrokenPipeError:
        return READER_GONE
    finally:
        for stream in (output, errors):
            _finish(stream)
            if stream not in before:
                stream.close()
        sys.stdout, sys.stderr = before


def drop_output(stream: TextIO) -> None:
    """Print no more to a stream that cannot be written to, nor what is buffered: what the command does goes on."""
    _finish(stream.raw if isinstance(stream, _Shown) else stream)


def bar_stream(stream: TextIO) -> TextIO:
    """A console's stream for progress bars, which move the cursor; their text has to be printable.

    What cannot be written is dropped.
    """
    raw = stream.raw if isinstance(stream, _Shown) else stream
    return cast("TextIO", _Shown(raw, forgiving=True, shown=str))


def takes_all_letters(stream: TextIO) -> bool:
    """Whether text of any script can be written to a stream as it is."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _shown(text: str) -> str:
    return printable(redact_secrets(text), keep="\n\t")


class _Shown:
    """A text stream that writes what `shown` makes of a text; `forgiving` drops what cannot be written."""

    def __init__(self, raw: TextIO, *, forgiving: bool = False, shown: Callable[[str], str] = _shown) -> None:
        self.raw, self._forgiving, self._shown = raw, forgiving, shown

    def write(self, text: str) -> int:
        """Write the text as it may be shown."""
        with self._forgiven():
            self.raw.write(self._shown(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        with self._forgiven():
            self.raw.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def _forgiven(self) -> contextlib.AbstractContextManager[None]:
        # ValueError: the stream was closed
        return contextlib.suppress(OSError, ValueError) if self._forgiving else contextlib.nullcontext()


def _code_of(command: Callable[[], int], output: TextIO) -> int:
    """Run a command; its exit code, or that of output that is lost."""
    try:
        return command() or _flushed(output)
    except SystemExit as exc:  # argparse ends so after --help and --version
        lost = 0 if exc.code else _flushed(output)
        if not lost:
            raise
        return lost
    except BrokenPipeError:
        raise
    except OSError as exc:  # of help and versions, where nothing is buffered: commands tell of their own
        return _lost(exc)


def _flushed(output: TextIO) -> int:
    """Write what is buffered; the exit code of a command whose output is lost, else 0."""
    try:
        output.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as exc:
        return _lost(exc)
    return 0


def _lost(error: Exception) -> int:
    """Tell that the output is lost; the exit code of that."""
    sys.stderr.write(f"error: standard output cannot be written: {getattr(error, 'strerror', None) or error}\n")
    return OUTPUT_LOST


def _fill_descriptors() -> None:
    """Open nothing in the place of standard streams that are closed.

    The next file that is opened would get their number, and what libraries print would go into it.
    """
    with contextlib.suppress(OSError):
        while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(opened, True)
        os.close(opened)


def _usable(stream: TextIO | None) -> TextIO:
    """The stream, which no letter stops, or a place for text that nobody reads."""
    if stream is None or not _is_writable(stream):
        return Path(os.devnull).open("w", encoding="utf-8")  # open as long as the process is
    if isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")
    return stream


def _is_writable(stream: TextIO) -> bool:
    """Whether a stream leads anywhere; a closed descriptor may be that of a file which Python itself reads."""
    if stream.closed:
        return False
    try:
        os.write(stream.fileno(), b"")
    except io.UnsupportedOperation:  # one that has no descriptor, as a notebook's
        return True
    except OSError as exc:
        return exc.errno != errno.EBADF
    return True


def _finish(stream: TextIO) -> None:
    """Write what is buffered, or drop it: Python would tell of it at its end, with an exit code of its own."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
