"""SAM-type training in miniature: a model of 64 pixels, made-up pairs, and a run of it that can be killed."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from golden.fill_weights import fill_state_dict
from golden.fixtures import fixture_image, fixture_mask

from persam_hq.errors import InputError
from persam_hq.training.config.sam import SamTrainConfig
from persam_hq.training.data.pair_sources import AnnotatedImage
from persam_hq.training.data.pairs import PairMaker
from persam_hq.training.distributed import ProcessGroup, SingleWorker
from persam_hq.training.loop import Training
from persam_hq.training.sam.recipe import SamRecipe
from persam_hq.training.sam.schedule import Schedule
from stand_ins.model import square_model

SIDE = 64
SAM_STAGE = {
    "name": "sam",
    "steps": 2,
    "train": ["prompt_encoder", "mask_decoder"],
    "learning_rate": 1e-4,
    "warmup_steps": 1,
}
HQ_STAGE = {"name": "hq", "steps": 2, "train": ["hq"], "learning_rate": 1e-3, "warmup_steps": 1}


def sam_content(**changes):
    """A configuration as YAML holds it; the data is never opened."""
    return {
        "model": "vit_tiny",
        "start_from": "none.pth",
        "data": {"pairs": [{"images": "images", "masks": "masks", "weight": 1}]},
        "validation": None,
        "validation_rows": 5,
        "batch": 2,
        "prompts": {"point": 1, "points": 1, "box": 1, "mask": 1, "prior": 1},
        "guided_attention": 0.5,
        "target_embedding": 0.5,
        "second_pass": 0.5,
        "loss_points": 200,
        "stages": [SAM_STAGE, HQ_STAGE],
        "epoch_steps": 100,
        "encoder_factor": 0.1,
        "weight_decay": 0.01,
        "ema_decay": 0.9,
        "gradient_clip": 1.0,
        "precision": "float32",
        "device": "cpu",
        "seed": 3,
        "threads": 1,
        "save_every_seconds": 1000.0,
    } | changes


def sam_config(**changes):
    return SamTrainConfig.model_validate(sam_content(**changes))


def texture(seed, size):
    """An image of noise."""
    return np.random.default_rng(seed).integers(60, 190, (*size, 3)).astype(np.uint8)


class FixturePairs:
    """An ellipse in a landscape, another one with every draw."""

    def __init__(self, height=48, width=64):
        self.size = height, width

    def draw(self, rng):
        first, second = (int(seed) for seed in rng.integers(0, 5, size=2))
        return tuple(
            AnnotatedImage(
                image=fixture_image(*self.size, seed=s), mask=fixture_mask(*self.size, seed=s).astype(np.uint8)
            )
            for s in (first, second)
        )


def tiny_recipe(config, *, hq=False, communicator=None):
    """`hq`: whether the weights to start from are held to have HQ parts."""
    schedule = Schedule(config.stages, epoch_steps=config.epoch_steps, has_hq=hq)
    torch.manual_seed(config.seed)
    model = square_model(hq=schedule.wants_hq)
    fill_state_dict(model)
    pairs = PairMaker([FixturePairs()], [1.0], side=SIDE, seed=config.seed)
    return SamRecipe(
        config,
        model=model,
        schedule=schedule,
        data=pairs,
        validation=pairs,
        communicator=communicator or SingleWorker(),
    )


def tiny_sam_training(config, out, *, report=lambda _: None, hq=False, communicator=None):
    torch.set_num_threads(1)
    recipe = tiny_recipe(config, hq=hq, communicator=communicator)
    return Training(recipe, config, out, report=report, communicator=communicator)


def join_and_train(rank, workers, meeting, config, out):
    """One of several workers, in a process of its own; they meet in a file."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers)
    try:
        tiny_sam_training(config, out, communicator=ProcessGroup()).run()
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
    # The interpreter's own end meets a thread of gloo now and then, and aborts.
    os._exit(0)


def train_a_part(config, out, *, communicator, device, report):
    """What a worker of Ray Train does."""
    assert device.type == "cpu"
    tiny_sam_training(config, out, report=report, communicator=communicator).run()


def refuse(*, communicator, device, report):
    raise InputError("no data here")


if __name__ == "__main__":
    # A run to be killed: it saves after every step, and says so.
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    stages = [SAM_STAGE | {"steps": steps // 2}, HQ_STAGE | {"steps": steps - steps // 2}]
    tiny_sam_training(sam_config(stages=stages, save_every_seconds=float(sys.argv[3])), folder).run()
