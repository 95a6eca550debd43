"""Entry point of `persam-hq`: parsing, dispatch, and errors as one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Final, NoReturn

from persam_hq.cli.checkpoints import add_checkpoints
from persam_hq.cli.evaluate import add_evaluate
from persam_hq.cli.personalize import add_personalize
from persam_hq.cli.segment import add_segment
from persam_hq.cli.train import add_train
from persam_hq.errors import OutputError, PersamHQError, error_line, one_line
from persam_hq.io.console import run_on_console
from persam_hq.io.paths import expand_home_in_argument

__all__ = ["build_parser", "main"]

# Exit codes, those of `persamhq-video`: 3 is for what broke after the work had begun.
OK: Final = 0
WRONG_INPUT: Final = 2
FAILED: Final = 3
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""

_TRACEBACK_VARIABLE: Final = "PERSAMHQ_TRACEBACK"
"""Environment variable that makes errors print their traceback too."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; the parsers of the commands are of this type too."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"persam-hq: error: {one_line(message)} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Prints the version; it is looked up when it is asked for, as that reads the installed packages."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(metadata.version("persam-hq-video"))
        parser.exit(OK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 wrong input, 3 failed, 130 interrupted, 141 unread."""
    return run_on_console(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser.parse_args([expand_home_in_argument(argument) for argument in given])
    except RuntimeError as exc:  # `~` of a user who has no home folder
        parser.error(str(exc))

    # A group of commands without one of them
    if "run" not in options:
        options.group.print_help()
        return OK
    return _run_guarded(options)


def _run_guarded(options: argparse.Namespace) -> int:
    """Run a command; returns its exit code, or that of the error that stopped it, printed as one line."""
    try:
        options.run(options)
    except KeyboardInterrupt:
        print(f"persam-hq: interrupted{options.interrupted(options)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        raise
    except Exception as exc:  # noqa: BLE001 - the last place that can turn it into a line
        return _report(exc)
    return OK


def _report(exc: Exception) -> int:
    """Print an error as one line on standard error; returns the exit code."""
    if os.environ.get(_TRACEBACK_VARIABLE):
        traceback.print_exc()

    # Errors of ours are about inputs, or say that results could not be written; any other is a bug or the system's
    if isinstance(exc, PersamHQError):
        message, code = one_line(exc), FAILED if isinstance(exc, OutputError) else WRONG_INPUT
    else:
        message, code = f"{error_line(exc)} (set {_TRACEBACK_VARIABLE}=1 to see where)", FAILED
    print(f"persam-hq: error: {message}", file=sys.stderr)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands.

    Each command sets `run`, a function of its options. `group` is the parser whose help is shown where a command is
    missing, and `interrupted` a function of the options that says what an interrupted command leaves.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="persam-hq", description="Masks in images, and the models of PerSAM-HQ."
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    parser.set_defaults(group=parser, interrupted=lambda _: "")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (add_segment, add_personalize, add_evaluate, add_train, add_checkpoints):
        add(commands)
    return parser
