"""The weights file of a job: found where the job is made, and delivered to workers of other machines."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError
from persam_hq.io.atomic import atomic_write, sha256_of
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError
from persamhq_video.job.tracker_builder import TrackerBuilder

__all__ = ["deliver_weights", "find_weights", "has_weights"]

_NAME_DIGITS: Final = 16
"""Hexadecimal digits of the hash in the name of a delivered file: enough that no two weights share a name."""


def find_weights(config: RunConfig, builder: TrackerBuilder) -> Path:
    """The weights file of a configuration; that there is none is a ConfigError."""
    try:
        return builder.weights_path(config)
    except PersamHQError as exc:
        raise ConfigError(str(exc)) from exc


def has_weights(config: RunConfig, builder: TrackerBuilder, sha256: str) -> bool:
    """Whether the configuration means a file with this hash on this machine."""
    try:
        return sha256_of(find_weights(config, builder)) == sha256
    except (ConfigError, OSError):
        return False


def deliver_weights(weights: NDArray[np.uint8], *, sha256: str, suffix: str) -> Path:
    """The weights as a file of this machine, in its folder for temporary files; written once per machine."""
    path = Path(tempfile.gettempdir()) / f"persamhq-weights-{sha256[:_NAME_DIGITS]}{suffix}"
    # The folder is shared with others, so a file of that name is not believed without a look at its hash
    if not path.exists() or sha256_of(path) != sha256:
        # Several workers of one machine may do so at once, so each writes a file of its own
        own = path.with_name(f"{path.stem}-{secrets.token_hex(8)}{path.suffix}")
        atomic_write(own, weights.tobytes())
        own.replace(path)
    return path
