"""The command `persam-hq`: the model without the video shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from persam_hq.cli import add_checkpoints, add_evaluate, add_personalize, add_segment
from persam_hq.errors import PersamHQError
from persam_hq.io.paths import expand_home_in_argument

__all__ = ["main"]

OK, WRONG_INPUT, INTERRUPTED = 0, 2, 130


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; the commands' parsers are of its type too."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_INPUT, f"persam-hq: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 wrong input, 130 interrupted."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args([expand_home_in_argument(argument) for argument in given])
    if "run" not in options:
        options.group.print_help()
        return OK
    try:
        options.run(options)
    except PersamHQError as exc:
        print(f"persam-hq: error: {exc}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print(f"persam-hq: interrupted{options.interrupted(options)}", file=sys.stderr)
        return INTERRUPTED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="persam-hq", description="Masks in images, and the models of PerSAM-HQ."
    )
    parser.set_defaults(group=parser, interrupted=lambda _: "")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_segment(commands)
    add_personalize(commands)
    add_evaluate(commands)

    train = commands.add_parser("train", help="train lite or a SAM-type model; a run that was killed goes on")
    train.add_argument("config", type=Path, metavar="CONFIG", help="YAML, such as configs/train/lite.yaml")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/<CONFIG's stem>)")
    train.set_defaults(run=_train, interrupted=_saved_state)

    add_checkpoints(commands)
    return parser


def _train(options: argparse.Namespace) -> None:
    import cv2

    from persam_hq.training.config.load import load_train_config
    from persam_hq.training.start import start_training

    config = load_train_config(options.config)
    cv2.setNumThreads(1)  # batches are made in a thread beside the optimiser, which has the others
    start_training(config, _run_folder(options), report=lambda line: print(line, flush=True)).run()


def _run_folder(options: argparse.Namespace) -> Path:
    folder: Path | None = options.out
    return Path("runs") / options.config.stem if folder is None else folder


def _saved_state(options: argparse.Namespace) -> str:
    from persam_hq.training.loop import STATE_NAME

    state = _run_folder(options) / STATE_NAME
    if state.exists():
        return f"; {state} holds the run up to its last save, and the same command goes on from there"
    return " before the first save: there is nothing to go on from"
