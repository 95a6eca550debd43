"""The identity of a run: which of its options, inputs and plugins its frames depend on.

Two runs of one identity have the same frames, so that one may go on with what the other left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from persamhq_video.config import NEUTRAL_OPTIONS

__all__ = ["differences"]

_IDENTITY_KEYS: Final = ("config", "fingerprint", "inputs", "plugins")
_TOLD_BY_HASH: Final = frozenset({"checkpoint", "plugins"})
"""Options that are paths: the hash of the file behind each is in the identity, so the file may move."""
_TOLD_BY_FILES: Final = frozenset({"outputs", "matte_codec"})
"""Options that say which files are made of the frames: the frames themselves are the same."""
_BEFORE: Final = {"number_frames_by": "output"}
"""What earlier versions did that had no such option, so that their complete runs are still known."""


def differences(
    identity: Mapping[str, Any], earlier: Mapping[str, Any], file_plugins: frozenset[str] = frozenset()
) -> list[str]:
    """Names of the entries in which the frames of two runs differ, one level deep.

    Options that no frame depends on do not count; nor do plugins that only files come from: `file_plugins`, and those
    that the earlier run alone has, since a strategy of that run would be among the options.
    """
    found = []
    for key in _IDENTITY_KEYS:
        ours, theirs = identity[key], earlier.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            names = sorted({*ours, *theirs} - NEUTRAL_OPTIONS - _TOLD_BY_HASH - _TOLD_BY_FILES)
            if key == "plugins":
                names = sorted(name for name in ours if name in theirs or name not in file_plugins)
            found += [f"{key}.{name}" for name in names if ours.get(name) != theirs.get(name, _BEFORE.get(name))]
        elif ours != theirs:
            found.append(key)
    return found
