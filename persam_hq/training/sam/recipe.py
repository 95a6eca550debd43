"""The training recipe of SAM-type models: from published weights, SAM's parts first and the HQ parts after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from persam_hq.checkpoint import HQ_PREFIXES, write_safetensors
from persam_hq.errors import InputError
from persam_hq.modeling.sam import Sam
from persam_hq.training.config.sam import Part, SamTrainConfig
from persam_hq.training.data.pairs import Pair, PairMaker
from persam_hq.training.data.rng import RowRng
from persam_hq.training.distributed import Communicator
from persam_hq.training.recipe import Pace, StepResult, Validation
from persam_hq.training.sam.prompts import draw_plan
from persam_hq.training.sam.schedule import Schedule, ScheduledStage
from persam_hq.training.sam.step import SamStep, StepSettings
from persam_hq.training.sam.validation import validate_pairs
from persam_hq.training.weight_digests import combined_digest, tensor_digests

DRAW_PAIRS, DRAW_PROMPTS, DRAW_VALIDATION = range(3)
"""Purposes of random draws; each has generators of its own, so that none shifts another's."""
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def part_of(name: str) -> Part:
    """The part of the model that a tensor of that name belongs to."""
    if name.startswith(HQ_PREFIXES):
        return "hq"
    parts: tuple[Part, ...] = ("image_encoder", "prompt_encoder", "mask_decoder")
    return next(part for part in parts if name.startswith(f"{part}."))


class SamRecipe:
    """Recipe of a SAM-type model. `model` has its weights already, and HQ parts where a stage needs them.

    A batch holds the pairs of this worker: rows `rank * batch` to `(rank + 1) * batch` of the step.
    """

    def __init__(
        self,
        config: SamTrainConfig,
        *,
        model: Sam,
        schedule: Schedule,
        data: PairMaker,
        validation: PairMaker,
        communicator: Communicator,
    ) -> None:
        if schedule.wants_hq and not model.has_hq:
            raise InputError(f"a stage trains the HQ parts, but {config.model} was built without them; use hq=True")

        # Evaluation mode: statistics of normalisation layers stay as published, and nothing is dropped out
        self.config, self.model, self.schedule = config, model.eval(), schedule
        self.epoch_steps: int = config.epoch_steps

        # The rows of this worker
        first = communicator.rank * config.batch
        self._rows = range(first, first + config.batch)
        self._data, self._validation = data, validation

        # What any stage changes; a digest of all else tells whether a saved run belongs to these weights
        self._parameters = {
            name: parameter for name, parameter in model.named_parameters() if part_of(name) in schedule.parts
        }
        weights = model.state_dict()
        frozen = [name for name in weights if name not in self._parameters]
        self.foundation = combined_digest(tensor_digests(weights, frozen))
        self._place = schedule.at(0)
        self.prepare(0)

    @property
    def steps(self) -> int:
        """See Recipe."""
        return self.schedule.steps

    @property
    def learned(self) -> Sequence[str]:
        """See Recipe: parameters only, since normalisation layers stay in evaluation mode."""
        return list(self._parameters)

    def start(self) -> None:
        """See Recipe: the published weights are in the model, whether a run begins or goes on."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See Recipe: a part that learns has a group for its matrices and one for what does not decay."""
        groups: list[dict[str, Any]] = []
        for part in sorted(self.schedule.parts):
            factor = self.config.encoder_factor if part == "image_encoder" else 1.0
            own = [p for name, p in self._parameters.items() if part_of(name) == part]
            groups.append({"params": [p for p in own if p.ndim > 1], "factor": factor})
            groups.append({"params": [p for p in own if p.ndim <= 1], "factor": factor, "weight_decay": 0.0})
        return groups

    def prepare(self, step: int) -> Pace:
        """See Recipe: the stage's parts learn, and from its HQ stage on the model has its HQ parts attached."""
        self._place = place = self.schedule.at(step)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(place.trains(part_of(name)))
        self.model.mask_decoder.has_hq = place.hq_attached
        return Pace(rate=place.rate(step), age=step - place.begin)

    def batches(self, *, start: int, stop: int) -> Iterator[tuple[int, tuple[Pair, ...]]]:
        """See Recipe."""
        return self._data.stream(start=start, stop=stop, rows=self._rows, purpose=DRAW_PAIRS)

    def result(self, step: int, batch: tuple[Pair, ...]) -> StepResult:
        """See Recipe."""
        rng = RowRng(seed=self.config.seed, step=step, rows=self._rows, purpose=DRAW_PROMPTS)
        return self._step(self._place)(batch, draw_plan(self.config, rng), rng)

    def validate(self) -> Validation:
        """See Recipe."""
        pairs = self._validation.batch(0, range(self.config.validation_rows), purpose=DRAW_VALIDATION)
        return validate_pairs(self._step(self._place), pairs, seed=self.config.seed)

    def export(self, averaged: Mapping[str, Tensor], path: Path, *, step: int) -> None:
        """See Recipe: float32 in the published layout, without HQ parts as long as there are none."""
        place = self.schedule.at(step - 1)
        weights = {**self.model.state_dict(), **averaged}
        kept = {name: value for name, value in weights.items() if place.hq_attached or part_of(name) != "hq"}
        metadata = {"model": self.config.model, "step": str(step), "format": "segment_anything"}
        write_safetensors(kept, path, metadata=metadata)

    def _step(self, place: ScheduledStage) -> SamStep:
        settings = StepSettings(precision=PRECISIONS[self.config.precision], loss_points=self.config.loss_points)
        return SamStep(self.model, place, settings)
