"""Twenty steps of the HQ path on weights of the published layout: what stays, what changes, and what it takes."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from golden.fill_weights import fill_state_dict
from golden.fixtures import fixture_image, fixture_mask
from PIL import Image

from persam_hq import sam_model_registry
from persam_hq.checkpoint import HQ_PREFIXES, read_checkpoint
from persam_hq.training.config.load import load_train_config
from persam_hq.training.config.sam import SamTrainConfig
from persam_hq.training.loop import WEIGHTS_NAME
from persam_hq.training.start import start_training
from persam_hq.training.weight_digests import tensor_digests

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
IMAGES = 3


@dataclass(frozen=True)
class Proof:
    """Counts of tensors, and in words what the run took."""

    frozen: int
    frozen_changed: int
    hq: int
    hq_changed: int
    losses: tuple[float, float]
    memory: str
    seconds: float


def prove(name, folder, *, steps=20, precision=None, size=(768, 1024)):
    """Train the HQ parts of a registered model, all else as its configuration says, in an empty folder."""
    checkpoint, data = folder / f"sam_{name}.pth", folder / "data"
    write_filled_checkpoint(name, checkpoint)
    write_pairs(data, size)
    config = config_of_proof(name, checkpoint, data, steps=steps, precision=precision)

    lines = []
    training = start_training(config, folder / "run", report=lines.append)
    fresh = {key: value.clone() for key, value in training.model.state_dict().items() if key.startswith(HQ_PREFIXES)}
    begun = time.monotonic()
    training.run()
    seconds = time.monotonic() - begun
    return _compare(training, checkpoint, fresh, seconds=seconds, memory=lines[-1])


def config_of_proof(name, checkpoint, data, *, steps, precision):
    content = load_train_config(CONFIGS / f"{name}.yaml").model_dump()
    stage = next(stage for stage in content["stages"] if stage["train"] == ("hq",))
    return SamTrainConfig.model_validate(
        content
        | {
            "start_from": checkpoint,
            "data": {"pairs": [{"images": data / "im", "masks": data / "gt", "weight": 1}]},
            "validation": None,
            "batch": 1,
            "threads": 1,
            "precision": precision or content["precision"],
            "stages": [stage | {"epochs": None, "steps": steps, "warmup_steps": 2}],
        }
    )


def write_filled_checkpoint(name, path):
    """SAM without HQ parts, every weight what its key stands for."""
    model = sam_model_registry[name](hq=False)
    fill_state_dict(model)
    torch.save(model.state_dict(), path)


def write_pairs(folder, size):
    for kind in ("im", "gt"):
        (folder / kind).mkdir(parents=True)
    for seed in range(IMAGES):
        Image.fromarray(fixture_image(*size, seed=seed)).save(folder / "im" / f"{seed}.jpg", quality=95)
        Image.fromarray(fixture_mask(*size, seed=seed)).save(folder / "gt" / f"{seed}.png")


def _compare(training, checkpoint, fresh, *, seconds, memory):
    published = read_checkpoint(checkpoint).tensors
    trained = training.model.state_dict()
    before, after = (tensor_digests(tensors, published) for tensors in (published, trained))
    lines = (training.out / "curves.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    # What was written has the published layout, HQ parts included.
    assert read_checkpoint(training.out / WEIGHTS_NAME).tensors.keys() == trained.keys()
    return Proof(
        frozen=len(published),
        frozen_changed=sum(before[key] != after[key] for key in published),
        hq=len(fresh),
        hq_changed=sum(not torch.equal(value, trained[key]) for key, value in fresh.items()),
        losses=(float(lines[1].split(",")[column]), float(lines[-1].split(",")[column])),
        memory=memory,
        seconds=seconds,
    )
