"""Errors by kind, which the command line turns into one line and an exit code, and how their messages are made.

A message says what was got, what was expected and what to do.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "EmptyMaskError",
    "EvaluationError",
    "InputError",
    "MisfitError",
    "MissingCheckpointError",
    "NoImageError",
    "OutputError",
    "PersamHQError",
    "ShapeError",
    "UnknownModelError",
    "did_you_mean",
    "error_line",
    "one_line",
    "shown",
]


class PersamHQError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(PersamHQError, ValueError):
    """An image, a prompt or an option that a caller handed in cannot be used."""


class ArgumentError(InputError, AssertionError):
    """An argument of a published call cannot be used; the published code asserts it, and scripts expect that."""


class ShapeError(InputError):
    """A tensor or an array has another shape, rank or dtype than its place asks for."""


class EmptyMaskError(InputError):
    """A reference mask has no foreground pixel, so there is no target to take from it."""


class CheckpointError(PersamHQError):
    """A weights file cannot be read, is of no known layout, or does not fit the model."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """There is no weights file at a path; also what `open` raises there, which scripts expect."""


class MisfitError(CheckpointError, RuntimeError):
    """The tensors of a weights file do not fit the model; also what `load_state_dict` raises, which scripts expect."""


class NoImageError(InputError, RuntimeError):
    """A predictor is asked for masks before it has an image; the published predictors raise a RuntimeError."""


class OutputError(PersamHQError):
    """Results cannot be written, though nothing was wrong with what was asked for: a full disk, a folder that went."""


class UnknownModelError(InputError):
    """No model is registered under the name that was asked for."""


class EvaluationError(PersamHQError):
    """A data set, an annotation or a prediction that cannot be scored as it is."""


def one_line(text: object) -> str:
    """A message of several lines as one, with single spaces."""
    return " ".join(str(text).split())


def error_line(error: BaseException) -> str:
    """An error that nobody of ours raised, as one line: its kind, and its message if it has one."""
    kind, text = type(error).__name__, one_line(error)
    return f"{kind}: {text}" if text else kind


def shown(value: object) -> str:
    """A value as a message has it: Python's spelling, cut where it is long or deep."""
    short = reprlib.Repr()
    # Enough of a path or a list of names to know it again; numbers as long as those of 64 bits
    short.maxstring, short.maxother, short.maxlong, short.maxlevel = 120, 120, 40, 3
    try:
        return short.repr(value)
    except ValueError:
        # Python spells no whole number of more than 4300 digits
        return f"a value of type {type(value).__name__}, too long to be shown"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'NAME'?)` with the known name most like `name`, or nothing where none is like it."""
    # The comparison takes time by the square of the length, and no name is that long
    if len(name) > 100:
        return ""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
