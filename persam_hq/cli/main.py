"""Entry point of `persam-hq`: parsing, dispatch, and errors as one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from persam_hq.cli.checkpoints import add_checkpoints
from persam_hq.cli.evaluate import add_evaluate
from persam_hq.cli.personalize import add_personalize
from persam_hq.cli.segment import add_segment
from persam_hq.cli.train import add_train
from persam_hq.errors import PersamHQError
from persam_hq.io.paths import expand_home_in_argument

__all__ = ["build_parser", "main"]

# Exit codes. `persamhq-video` has the same ones, and 3 for a video that could not be completed.
OK: Final = 0
WRONG_INPUT: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; the parsers of the commands are of this type too."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"persam-hq: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 wrong input, 130 interrupted."""
    parser = build_parser()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args([expand_home_in_argument(argument) for argument in given])

    # A group of commands without one of them
    if "run" not in options:
        options.group.print_help()
        return OK

    # Errors of ours are one line; any other is a bug and keeps its traceback
    try:
        options.run(options)
    except PersamHQError as exc:
        print(f"persam-hq: error: {exc}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print(f"persam-hq: interrupted{options.interrupted(options)}", file=sys.stderr)
        return INTERRUPTED
    return OK


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands.

    Each command sets `run`, a function of its options. `group` is the parser whose help is shown where a command is
    missing, and `interrupted` a function of the options that says what an interrupted command leaves.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="persam-hq", description="Masks in images, and the models of PerSAM-HQ."
    )
    parser.set_defaults(group=parser, interrupted=lambda _: "")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (add_segment, add_personalize, add_evaluate, add_train, add_checkpoints):
        add(commands)
    return parser
