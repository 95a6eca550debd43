"""Standard output and error of the command: text that any terminal can take, from names that anybody can have given."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

__all__ = ["close_quietly", "make_safe", "printable", "say"]


def make_safe() -> None:
    """Let both streams spell what their encoding lacks, such as names that are not UTF-8, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where there is no console
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Text without control characters, which move the cursor or change what a terminal shows: they become escapes."""
    return "".join(char if char.isprintable() or char == " " else ascii(char)[1:-1] for char in text)


def say(line: str) -> None:
    """Print a line of results."""
    print(printable(line))


def close_quietly() -> None:
    """Give up standard output after its reader has gone, so that nothing is said about it when Python ends."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
