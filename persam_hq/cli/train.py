"""`persam-hq train`: one training run in a folder, from a YAML configuration; a killed run resumes.

`persam-hq train pack` writes the data of lite's training as one file instead, to carry it to another machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from persam_hq.errors import InputError

if TYPE_CHECKING:
    from persam_hq.training.config.lite import TrainConfig
    from persam_hq.training.config.sam import SamTrainConfig

PACK: Final = "pack"
"""The word before CONFIG that asks for its data in one file."""


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    train = commands.add_parser(
        "train",
        help="train lite or a SAM-type model; a run that was killed goes on",
        usage="persam-hq train [pack] CONFIG [options]",
        description="Train from CONFIG, from the first step or the last save in the folder. With the word `pack` "
        "before CONFIG: write the data of lite's training as one file, to train from with --pack.",
    )
    train.add_argument("config", nargs="+", metavar="CONFIG", help="YAML, such as configs/train/lite.yaml")
    train.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="folder of the run (default: runs/<CONFIG's stem>); with pack, the file (default: <CONFIG's stem>.pack)",
    )
    train.add_argument("--pack", type=Path, metavar="FILE", help="take lite's data from this file instead")
    # 60 MB go through most ways of carrying a file; 640 pixels and 78 are what crops of 640 pixels can make use of
    train.add_argument("--megabytes", type=float, default=60.0, metavar="N", help="with pack: its size at most (60)")
    train.add_argument("--side", type=int, default=640, metavar="N", help="with pack: longer side of images (640)")
    train.add_argument(
        "--quality", type=int, default=78, metavar="N", help="with pack: quality of images, 1 to 100 (78)"
    )
    train.set_defaults(run=_run, interrupted=_saved_state)


def _run(options: argparse.Namespace) -> None:
    """Train from the first step, or from the last save in the folder; or write a pack."""
    import cv2

    from persam_hq.training.start import start_training

    config = _config(options)
    # Batches are made in threads beside the optimiser, which has the other cores
    cv2.setNumThreads(1)
    if _packs(options):
        _pack(config, options)
        return
    if options.pack is not None:
        if config.model != "lite":
            raise InputError(f"--pack holds data of lite's training, but {options.config[-1]} trains {config.model}")
        config = config.model_copy(update={"pack": options.pack})
    start_training(config, _run_folder(options), report=lambda line: print(line, flush=True)).run()


def _packs(options: argparse.Namespace) -> bool:
    """Whether a pack is asked for: two words, the first of them `pack`."""
    return len(options.config) > 1 and options.config[0] == PACK


def _config(options: argparse.Namespace) -> TrainConfig | SamTrainConfig:
    """The configuration in the file that is named last."""
    from persam_hq.training.config.load import load_train_config

    before = options.config[:-1]
    if before not in ([], [PACK]):
        raise InputError(f"got {' '.join(options.config)}; expected one CONFIG, or `pack` and one CONFIG")
    return load_train_config(Path(options.config[-1]))


def _pack(config: TrainConfig | SamTrainConfig, options: argparse.Namespace) -> None:
    """Write the configuration's data as one file."""
    from persam_hq.training.data.pack import PackSize, write_pack

    if config.model != "lite":
        raise InputError(f"a pack holds data of lite's training, but {options.config[-1]} trains {config.model}")
    out = options.out or Path(options.config[-1]).with_suffix(".pack").name
    size = PackSize(bytes=round(options.megabytes * 1e6), side=options.side, quality=options.quality)
    write_pack(config, Path(out), size, report=lambda line: print(line, flush=True))


def _run_folder(options: argparse.Namespace) -> Path:
    """The folder of the run: --out, or one named after the configuration."""
    folder: Path | None = options.out
    return Path("runs") / Path(options.config[-1]).stem if folder is None else folder


def _saved_state(options: argparse.Namespace) -> str:
    """The end of the line that an interrupted run prints: what is saved, and how to resume."""
    from persam_hq.training.loop import STATE_NAME

    if _packs(options):
        return "; no pack was written"
    state = _run_folder(options) / STATE_NAME
    if state.exists():
        return f"; {state} holds the run up to its last save, and the same command goes on from there"
    return " before the first save: there is nothing to go on from"
