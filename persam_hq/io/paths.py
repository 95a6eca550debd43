"""Paths as users type them: a leading `~` that no shell has expanded, and whether something is there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["exists", "expand_home", "expand_home_in_argument", "is_file", "is_folder"]

_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP, errno.ENAMETOOLONG})
"""Path.exists and its like raise for a name that is too long, as in a URL with a long query: no file is named so."""


def exists(path: str | Path) -> bool:
    """Whether there is a file or folder; other errors than that there is none, such as no permission, are raised."""
    return _mode(path) is not None


def is_file(path: str | Path) -> bool:
    """Whether there is a regular file."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: str | Path) -> int | None:
    """The type of what is there, as `os.stat` has it."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - a text is no Path
    except OSError as exc:
        if exc.errno not in _NOT_THERE:
            raise
    except ValueError:  # a NUL inside
        pass
    return None


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
