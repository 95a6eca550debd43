"""`persam-hq train`: one training run in a folder, from a YAML configuration; a killed run resumes."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    train = commands.add_parser("train", help="train lite or a SAM-type model; a run that was killed goes on")
    train.add_argument("config", type=Path, metavar="CONFIG", help="YAML, such as configs/train/lite.yaml")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/<CONFIG's stem>)")
    train.set_defaults(run=_run, interrupted=_saved_state)


def _run(options: argparse.Namespace) -> None:
    """Train from the first step, or from the last save in the folder."""
    import cv2

    from persam_hq.training.config.load import load_train_config
    from persam_hq.training.start import start_training

    config = load_train_config(options.config)
    # Batches are made in one thread beside the optimiser, which has the other cores
    cv2.setNumThreads(1)
    start_training(config, _run_folder(options), report=lambda line: print(line, flush=True)).run()


def _run_folder(options: argparse.Namespace) -> Path:
    """The folder of the run: --out, or one named after the configuration."""
    folder: Path | None = options.out
    return Path("runs") / options.config.stem if folder is None else folder


def _saved_state(options: argparse.Namespace) -> str:
    """The end of the line that an interrupted run prints: what is saved, and how to resume."""
    from persam_hq.training.loop import STATE_NAME

    state = _run_folder(options) / STATE_NAME
    if state.exists():
        return f"; {state} holds the run up to its last save, and the same command goes on from there"
    return " before the first save: there is nothing to go on from"
