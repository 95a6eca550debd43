"""A leading `~` where no shell has seen to it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["as_in_a_shell", "with_home"]


def with_home(text: str) -> str:
    """`~` and `~/...` with the user's own folder in its place, and any other text as it is."""
    return f"{Path.home()}{text[1:]}" if text == "~" or text.startswith("~/") else text


def as_in_a_shell(argument: str) -> str:
    """An argument with `~` expanded: shells leave it as it is in quotes, where patterns belong, and after `--out=`."""
    flag, equals, value = argument.partition("=")
    is_flag = bool(equals) and flag.startswith("--")
    return f"{flag}={with_home(value)}" if is_flag else with_home(argument)
