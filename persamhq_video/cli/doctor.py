"""The command `persamhq-video doctor`: versions, cores, GPUs and weights of this machine, also for bug reports."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from typing import get_args

import torch

from persam_hq.io.process_memory import installed_memory
from persamhq_video.config import ModelName, make_config
from persamhq_video.errors import PersamHQVideoError
from persamhq_video.io.readers.container import ffmpeg_libraries
from persamhq_video.job.fingerprint import resolve_numerics
from persamhq_video.job.weights import find_weights
from persamhq_video.tracking.build import VIDEO_TRACKERS

__all__ = ["run"]

_PACKAGES = ("persam-hq-video", "torch", "ray", "av", "decord2", "numpy", "opencv-python-headless", "scikit-video")


def run(args: argparse.Namespace) -> int:
    """Print everything; a missing package or file is a line as well, never an error."""
    del args
    for topic, text in (*_machine(), *_versions(), *_weights()):
        print(f"{topic:<28} {text}")
    return 0


def _machine() -> Iterator[tuple[str, str]]:
    """The system and the hardware, and the device and dtype that a run would choose."""
    yield "system", platform.platform()
    yield "python", platform.python_version()
    yield "cores", str(os.cpu_count())
    yield "memory", _memory()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield "GPUs", ", ".join(gpus) or "none"
    config = resolve_numerics(make_config({}))
    yield "device and dtype chosen", f"{config.device}, {config.dtype}"
    yield "free space here", f"{shutil.disk_usage('.').free / 1e9:.1f} GB"


def _versions() -> Iterator[tuple[str, str]]:
    """The packages that results or errors may depend on."""
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"
    yield "ffmpeg libraries", ", ".join(f"{name} {version}" for name, version in ffmpeg_libraries().items())


def _weights() -> Iterator[tuple[str, str]]:
    """The file of weights that each model would use, or why there is none."""
    for model in get_args(ModelName):
        try:
            yield f"weights of {model}", str(find_weights(make_config({"model": model}), VIDEO_TRACKERS))
        except (PersamHQVideoError, ImportError) as exc:
            yield f"weights of {model}", f"none: {exc}"


def _memory() -> str:
    installed = installed_memory()
    return "not told by this system" if installed is None else f"{installed / 1e9:.1f} GB"
