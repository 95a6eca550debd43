"""The command `persamhq-video train`: training of a SAM-type model with several workers, through Ray Train."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from persamhq_video.config import MAX_WORKERS
from persamhq_video.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from persam_hq.training.config.lite import TrainConfig
    from persam_hq.training.config.sam import SamTrainConfig
    from persam_hq.training.distributed import Communicator

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Train with several workers; a run that was killed continues from its last checkpoint."""
    if not 1 <= args.workers <= MAX_WORKERS:
        raise ConfigError(f"option workers: got {args.workers}; expected 1 to {MAX_WORKERS}")
    from persam_hq.training.config.load import load_train_config
    from persamhq_video.executors.workers.ray_training import TrainingCluster, train_on_ray

    # lite is small enough for one worker, and is trained by another command
    path = Path(args.config)
    config = load_train_config(path)
    if config.model == "lite":
        raise ConfigError(f"{path} trains lite, which one worker does: persam-hq train {path}")

    out = Path("runs") / path.stem if args.out is None else Path(args.out)
    cluster = TrainingCluster(
        workers=args.workers, threads=config.threads, gpus_per_worker=args.gpus_per_worker, address=args.address
    )
    train_on_ray(partial(_train, config, out), cluster, storage=out / "ray", report=_print_line)
    return 0


def _train(
    config: TrainConfig | SamTrainConfig,
    out: Path,
    *,
    communicator: Communicator,
    device: torch.device,
    report: Callable[[str], None],
) -> None:
    """Train on one worker; it is sent there as a function, so that it imports everything itself."""
    import cv2

    from persam_hq.training.start import start_training

    # OpenCV would start a thread per core in every worker of a machine.
    cv2.setNumThreads(1)
    start_training(config, out, report=report, communicator=communicator, device=device).run()


def _print_line(line: str) -> None:
    print(line, flush=True)
