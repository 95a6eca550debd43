"""A leading `~` where no shell has seen to it."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["as_in_a_shell", "natural_key", "with_home"]


def with_home(text: str) -> str:
    """`~` and `~/...` with the user's own folder in its place, and any other text as it is."""
    return f"{Path.home()}{text[1:]}" if text == "~" or text.startswith("~/") else text


def as_in_a_shell(argument: str) -> str:
    """An argument with `~` expanded: shells leave it as it is in quotes, where patterns belong, and after `--out=`."""
    flag, equals, value = argument.partition("=")
    is_flag = bool(equals) and flag.startswith("--")
    return f"{flag}={with_home(value)}" if is_flag else with_home(argument)


def natural_key(file: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which runs of digits count as numbers; the name itself breaks ties such as 1 and 01."""
    parts = re.split(r"([0-9]+)", file.name)
    return [(0, int(part), "") if i % 2 else (1, 0, part.casefold()) for i, part in enumerate(parts) if part], file.name
