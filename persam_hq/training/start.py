"""Builder of trainings: from a configuration to a Training with its model, data, seed, threads and workers."""

from __future__ import annotations

from pathlib import Path

import torch

from persam_hq.build.sam import build_model
from persam_hq.checkpoint import read_checkpoint
from persam_hq.errors import InputError
from persam_hq.modeling.sam import Sam
from persam_hq.training.config.device import training_device
from persam_hq.training.config.lite import TrainConfig
from persam_hq.training.config.sam import DataSources, SamTrainConfig
from persam_hq.training.data.pair_sources import open_sources
from persam_hq.training.data.pairs import PairMaker
from persam_hq.training.distributed import Communicator, SingleWorker
from persam_hq.training.lite.recipe import LiteRecipe
from persam_hq.training.loop import Report, Training
from persam_hq.training.sam.recipe import SamRecipe
from persam_hq.training.sam.schedule import Schedule


def start_training(
    config: TrainConfig | SamTrainConfig,
    out: Path,
    *,
    report: Report,
    communicator: Communicator | None = None,
    device: torch.device | None = None,
) -> Training:
    """A training in the folder `out`, ready to `run`; `device` wins over the configuration's."""
    # Both decide numbers: the threads by the order of sums, the seed by the weights of fresh parts
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    communicator = communicator or SingleWorker()
    if isinstance(config, SamTrainConfig):
        sam = _sam_recipe(config, communicator, device=device or training_device(config.device))
        return Training(sam, config, out, report=report, communicator=communicator)

    # A clip is tracked from frame to frame, and batches are small: more workers would bring lite nothing
    if communicator.world_size > 1:
        raise InputError("lite is trained by one worker; train it with `persam-hq train`, or without --workers")
    return Training(LiteRecipe(config), config, out, report=report)


def _sam_recipe(config: SamTrainConfig, communicator: Communicator, *, device: torch.device) -> SamRecipe:
    """The recipe of a SAM-type model with its weights and data."""
    model, schedule = _model_to_train(config)
    side = model.prompt_encoder.input_image_size[0]

    def maker(data: DataSources) -> PairMaker:
        sources, weights = open_sources(data)
        return PairMaker(sources, weights, side=side, seed=config.seed)

    # Without sources of its own validation draws from the training data, by another seed purpose
    data = maker(config.data)
    return SamRecipe(
        config,
        model=model.to(device),
        schedule=schedule,
        data=data,
        validation=data if config.validation is None else maker(config.validation),
        communicator=communicator,
    )


def _model_to_train(config: SamTrainConfig) -> tuple[Sam, Schedule]:
    """The model with its published weights, and fresh HQ parts where those have none and a stage trains them."""
    weights = read_checkpoint(config.start_from)
    if config.decoder_from is not None:
        weights = read_checkpoint(config.decoder_from).over(weights)
    schedule = Schedule(config.stages, epoch_steps=config.epoch_steps, has_hq=weights.has_hq)
    model = build_model(config.model, hq=schedule.wants_hq)
    weights.load_into(model, name=config.model, fresh_hq=True)
    return model, schedule
