"""The errors that the video shell raises on purpose.

A message is one line: what was got, what was expected, what to do. Only the command line turns errors into output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from persam_hq.errors import PersamHQError, error_line
from persam_hq.io.text.shown_text import redact_secrets

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_REFUSED",
    "ClusterError",
    "ConfigError",
    "DecodeError",
    "ExecutorError",
    "HangError",
    "InputError",
    "OutputError",
    "PersamHQVideoError",
    "PluginError",
    "StrategyError",
    "as_input_error",
    "opening",
]

# Exit codes of the command line; 0 is success.
EXIT_REFUSED: Final = 2  # found wrong before the first frame was tracked
EXIT_FAILED: Final = 3  # a video could not be completed
EXIT_INTERRUPTED: Final = 130  # as shells have it for an interrupted command: 128 + SIGINT


class PersamHQVideoError(Exception):
    """Base of the errors below; ``exit_code`` is what the command line returns for it."""

    exit_code: ClassVar[int] = EXIT_FAILED

    def __str__(self) -> str:
        # Messages name what was given, and a URL may hold a password
        return redact_secrets(super().__str__())


class InputError(PersamHQVideoError):
    """A file that cannot be worked on, found before the first frame is tracked."""

    exit_code = EXIT_REFUSED


class ConfigError(PersamHQVideoError):
    """An option or a combination of options that makes no sense."""

    exit_code = EXIT_REFUSED


class PluginError(PersamHQVideoError):
    """A plugin that is unknown, registered twice or broken."""

    exit_code = EXIT_REFUSED


class DecodeError(PersamHQVideoError):
    """A video that could not be completed; ``frame`` is the output index of the first frame that did not come."""

    def __init__(self, message: str, *, frame: int) -> None:
        super().__init__(message)
        self.frame = frame

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle as cls(*args), which has no place for a keyword; this one crosses processes.
        return _rebuild_decode_error, (str(self), self.frame)


class OutputError(PersamHQVideoError):
    """A result that could not be written."""


class ExecutorError(PersamHQVideoError):
    """A worker or a cluster that could not do its part."""


class HangError(ExecutorError):
    """Code that does not come back. A thread of this process cannot be ended, so the process has to be."""


class ClusterError(ExecutorError):
    """Ray could not be started on this machine, or a cluster not be reached; found before the first frame."""

    exit_code = EXIT_REFUSED


class StrategyError(ExecutorError):
    """A strategy that failed on a frame: it raised, or returned something else than its kind returns."""


def as_input_error(error: BaseException, about: object) -> InputError:
    """The InputError for what went wrong while the input `about` was opened, whoever raised it."""
    if isinstance(error, OSError) and error.strerror:
        name = about if error.filename is None else error.filename
        return InputError(f"{name}: cannot be opened ({error.strerror}); check the path and its permissions")
    reason = str(error) if isinstance(error, PersamHQError) else error_line(error)
    return InputError(f"{about}: cannot be opened ({reason})")


@contextmanager
def opening(about: object) -> Iterator[None]:
    """While an input is looked for or opened, what nobody foresaw is an InputError about it."""
    try:
        yield
    except (PersamHQVideoError, PersamHQError):
        raise
    except Exception as exc:
        raise as_input_error(exc, about) from exc


def _rebuild_decode_error(message: str, frame: int) -> DecodeError:
    return DecodeError(message, frame=frame)
