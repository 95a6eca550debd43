"""Paths as users type them: a leading `~` that no shell has expanded."""

from __future__ import annotations

from pathlib import Path

__all__ = ["expand_home", "expand_home_in_argument"]


def expand_home(text: str) -> str:
    """`~` and `~/...` with the user's home folder in place of `~`, and any other text as it is."""
    # Not Path.expanduser, which also takes `~name` and fails where there is no such user: that may be a file's name
    return f"{Path.home()}{text[1:]}" if text == "~" or text.startswith("~/") else text


def expand_home_in_argument(argument: str) -> str:
    """A command line's argument with `~` expanded, also behind `--flag=`.

    Shells leave it as it is in quotes, where patterns belong, and after `--out=`.
    """
    flag, equals, value = argument.partition("=")
    is_flag = bool(equals) and flag.startswith("--")
    return f"{flag}={expand_home(value)}" if is_flag else expand_home(argument)
