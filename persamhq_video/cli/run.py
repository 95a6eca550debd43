"""`persamhq-video run`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from persamhq_video.cli.options import config_of
from persamhq_video.cli.progress import report_progress
from persamhq_video.cli.progress_bars import error_line
from persamhq_video.config import RunConfig
from persamhq_video.job.outcome import Outcome, exit_code, summary_event, summary_table
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.job.tasks import VideoTask, collect_tasks
from persamhq_video.pipeline.video_plan import check_tasks
from persamhq_video.plugin.sources import read_plugins

__all__ = ["run", "run_and_report"]

_INTERRUPTED: Final = 130
_WAS_LIVE: Final = (
    "persamhq-video: interrupted; the files hold the frames until now, a live source cannot be gone on with"
)
_KEPT: Final = "persamhq-video: interrupted; the committed frames are kept"
_GOES_ON: Final = "persamhq-video: interrupted; the same command again goes on from here"


def run(args: argparse.Namespace) -> int:
    """Run the videos and tell how each ended."""
    config = config_of(args)
    endpoints = load_endpoints(read_plugins(config.plugins), config.blocked_plugins)

    def takes_text(source: str | None, text: str) -> bool:
        return endpoints.takes_text(source or config.source, text)

    out = None if args.out is None else Path(args.out)
    tasks = collect_tasks(args.videos, mask=args.mask, out=out, takes_text=takes_text)
    return run_and_report(args, config, tasks)


def run_and_report(args: argparse.Namespace, config: RunConfig, tasks: Sequence[VideoTask]) -> int:
    """Check, run and tell; the exit code."""
    # Before torch and Ray are imported, which takes seconds.
    check_tasks(config, tasks)
    from persamhq_video.pipeline.run import run_tasks

    # What is no file may be live; whether it goes on is not known here.
    end_at_once = partial(_end_at_once, _GOES_ON if all(isinstance(task.video, Path) for task in tasks) else _KEPT)
    try:
        with report_progress(quiet=args.quiet, as_json=args.json, videos=len(tasks)) as listener:
            outcomes = run_tasks(config, tasks, listener=listener, at_second_interrupt=end_at_once)
    except KeyboardInterrupt:
        end_at_once()
    code = exit_code(outcomes)
    _tell(args, tasks, outcomes)
    if code == _INTERRUPTED:
        goes_on = all(outcome.resumable for outcome in outcomes)
        print(_GOES_ON if goes_on else _WAS_LIVE, file=sys.stderr)
    return code


def _end_at_once(line: str, *signal: object) -> NoReturn:
    """Without waiting for threads that are in the middle of a frame, or hang: what is committed is on the disk."""
    del signal
    os.write(sys.stderr.fileno(), f"{line}\n".encode())
    os._exit(_INTERRUPTED)


def _tell(args: argparse.Namespace, tasks: Sequence[VideoTask], outcomes: Sequence[Outcome]) -> None:
    """A table, or an event, of several videos; of a single one where its results are; errors where no table is."""
    is_table = len(outcomes) > 1 and not args.quiet and not args.json
    if is_table:
        print(summary_table(outcomes), end="")
    if args.json and len(outcomes) > 1:
        print(json.dumps(summary_event(outcomes), ensure_ascii=False), flush=True)
    for outcome in () if is_table else outcomes:
        if outcome.reason is not None:
            video = str(outcome.task.video) if len(tasks) > 1 else None
            print(error_line(outcome.reason, video=video), file=sys.stderr)
    if len(outcomes) == 1 and exit_code(outcomes) == 0 and not args.quiet and not args.json:
        print(f"results in {tasks[0].out}")
