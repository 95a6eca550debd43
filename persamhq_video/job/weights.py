"""The weights file of a job: found where the job is made, and delivered to workers of other machines."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError
from persam_hq.io.atomic import sha256_of
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, ExecutorError
from persamhq_video.job.tracker_builder import TrackerBuilder

__all__ = ["deliver_weights", "discard_weights", "find_weights", "has_weights"]


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
    """The weights as a file of this process alone, in a private folder within that for temporary files.

    The folder for temporary files is shared, so neither its names nor what lies there is relied upon. The file goes
    with `discard_weights`, or with the process. Raises ExecutorError.
    """
    data = weights.data
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ExecutorError("the weights changed on their way to a worker; start the run again")
    try:
        # 0700, of a name that nobody can know before
        folder = Path(tempfile.mkdtemp(prefix="persamhq-weights-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = folder / f"weights{suffix}"
        with path.open("xb") as file:
            file.write(data)
    except OSError as exc:
        raise ExecutorError(
            f"a worker cannot write its weights, {len(data) / 1e6:.0f} MB, to the folder for temporary files: "
            f"{exc.strerror or exc}; make room there, or name another one in TMPDIR"
        ) from exc
    return path


def discard_weights(path: Path) -> None:
    """Remove weights that were delivered; a model that maps them keeps them until it goes, where the system can."""
    shutil.rmtree(path.parent, ignore_errors=True)  # Windows removes no file that is mapped; it goes with the process
