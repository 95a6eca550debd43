"""The command `persamhq-video run`: track objects through one video or many."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from persam_hq.io.console import drop_output
from persamhq_video.cli.options import config_of
from persamhq_video.cli.progress import print_json, report_progress
from persamhq_video.cli.progress_bars import command_error
from persamhq_video.config import RunConfig
from persamhq_video.errors import EXIT_INTERRUPTED, HangError
from persamhq_video.job.outcome import Outcome, exit_code, summary_event, summary_table
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.job.tasks import VideoTask, collect_tasks
from persamhq_video.pipeline.video_plan import check_tasks
from persamhq_video.plugin.sources import read_plugins

__all__ = ["run", "run_and_report"]

# The last line of an interrupted run, by what can be done with it
_LIVE_LINE: Final = (
    "persamhq-video: interrupted; the files hold the frames until now, a live source cannot be gone on with"
)
_KEPT_LINE: Final = "persamhq-video: interrupted; the committed frames are kept"
_RESUMABLE_LINE: Final = "persamhq-video: interrupted; the same command again goes on from here"


def run(args: argparse.Namespace) -> int:
    """Run the videos that the arguments name, and report how each of them ended."""
    config = config_of(args)

    # Whether a text that is no file is an input is for the frame sources to say, built-in and plugins'.
    endpoints = load_endpoints(read_plugins(config.plugins), config.blocked_plugins)

    def takes_text(source: str | None, text: str) -> bool:
        return endpoints.takes_text(source or config.source, text)

    out = None if args.out is None else Path(args.out)
    tasks = collect_tasks(args.videos, mask=args.mask, out=out, takes_text=takes_text)
    return run_and_report(args, config, tasks)


def run_and_report(args: argparse.Namespace, config: RunConfig, tasks: Sequence[VideoTask]) -> int:
    """Check the tasks, run them and report; returns the exit code."""
    # Before torch and Ray are imported, which takes seconds
    check_tasks(config, tasks)
    from persamhq_video.pipeline.run import run_tasks

    # The first interrupt ends the run in order, the second one at once. An input that is no file may be live, and
    # whether such a run can be resumed is not known here.
    files_only = all(isinstance(task.video, Path) for task in tasks)
    exit_at_once = partial(_exit_at_once, _RESUMABLE_LINE if files_only else _KEPT_LINE)
    try:
        with report_progress(quiet=args.quiet, as_json=args.json, videos=len(tasks)) as listener:
            outcomes = run_tasks(config, tasks, listener=listener, at_second_interrupt=exit_at_once)
    except KeyboardInterrupt:
        exit_at_once()

    code = exit_code(outcomes)
    try:
        _report(args, tasks, outcomes)
        sys.stdout.flush()
    except OSError:  # the videos are what they are, whoever reads of them
        drop_output(sys.stdout)
    if any(isinstance(outcome.error, HangError) for outcome in outcomes):
        _end_process(code)
    if code == EXIT_INTERRUPTED:
        is_resumable = all(outcome.resumable for outcome in outcomes)
        print(_RESUMABLE_LINE if is_resumable else _LIVE_LINE, file=sys.stderr)
    return code


def _exit_at_once(line: str, *signal: object) -> NoReturn:
    """End the process without waiting for threads that are busy or hang; committed frames are on the disk already."""
    del signal
    with contextlib.suppress(OSError, ValueError):  # there is no console
        os.write(sys.stderr.fileno(), f"{line}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _end_process(code: int) -> NoReturn:
    """End the process although one of its threads hangs, in code that may not bear the end of the interpreter."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code)


def _report(args: argparse.Namespace, tasks: Sequence[VideoTask], outcomes: Sequence[Outcome]) -> None:
    """Print how the videos ended."""
    # Several videos: a table or an event
    is_table = len(outcomes) > 1 and not args.quiet and not args.json
    if is_table:
        print(summary_table(outcomes), end="")
    if args.json and len(outcomes) > 1:
        print_json(summary_event(outcomes), file=sys.stdout)

    # Errors, unless the table has them
    for outcome in () if is_table else outcomes:
        if outcome.reason is not None:
            video = str(outcome.task.video) if len(tasks) > 1 else None
            print(command_error(outcome.reason, video=video), file=sys.stderr)

    # A single video: the folder of its results
    if len(outcomes) == 1 and exit_code(outcomes) == 0 and not args.quiet and not args.json:
        print(f"results in {tasks[0].out}")
