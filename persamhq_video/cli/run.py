"""`persamhq-video run`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from persamhq_video.cli.options import config_of
from persamhq_video.cli.progress import report_progress
from persamhq_video.config import RunConfig
from persamhq_video.plan import check_requests

__all__ = ["run", "run_and_report"]

_FAILED: Final = 3


def run(args: argparse.Namespace) -> int:
    """Run the videos; 3 if one of several could not be completed."""
    videos = [Path(video) for video in args.videos]
    return run_and_report(args, config_of(args), videos, args.mask)


def run_and_report(args: argparse.Namespace, config: RunConfig, videos: list[Path], mask: str | Path) -> int:
    """Check, run and tell; the exit code."""
    out = Path(args.out)
    # Before torch and Ray are imported, which takes seconds.
    check_requests(config, videos, mask, out)
    from persamhq_video.pipeline import run_videos

    with report_progress(quiet=args.quiet, as_json=args.json) as listener:
        failures = run_videos(config, videos, mask, out, listener=listener)
    for failure in failures:
        print(f"persamhq-video: error: {' '.join(str(failure).split())}", file=sys.stderr)
    if failures:
        return failures[0].exit_code if len(videos) == 1 else _FAILED
    if not args.quiet and not args.json:
        print(f"results in {out}")
    return 0
