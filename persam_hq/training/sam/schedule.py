"""The schedule of a training run: its stages with their steps, what learns in each, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from persam_hq.training.config.sam import Part, TrainingStage

LAST_SHARE = 0.02
"""What is left of a stage's learning rate in its last step. Chosen: at 0 the last steps would teach nothing."""


@dataclass(frozen=True, slots=True)
class ScheduledStage:
    """A training stage with its place in the run: steps [begin, end), and whether the HQ parts are attached in it."""

    stage: TrainingStage
    begin: int
    end: int
    hq_attached: bool

    def trains(self, part: Part) -> bool:
        """Whether that part of the model learns in this stage."""
        return part in self.stage.train

    @property
    def teaches_sam(self) -> bool:
        """Whether any part learns that SAM's own masks depend on."""
        return any(part != "hq" for part in self.stage.train)

    def rate(self, step: int) -> float:
        """The learning rate: a linear warm-up, then a cosine to a fiftieth over the stage."""
        age = step - self.begin
        warmup = min(1.0, (age + 1) / max(1, self.stage.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * age / (self.end - self.begin)))
        return self.stage.learning_rate * warmup * (LAST_SHARE + (1 - LAST_SHARE) * cosine)


class Schedule:
    """The training stages of a run, in order. `has_hq`: whether the weights that it starts from hold the HQ parts."""

    def __init__(self, stages: Sequence[TrainingStage], *, epoch_steps: int, has_hq: bool) -> None:
        # Once a stage trains the HQ parts they stay attached, whatever later stages train
        placed, begin, attached = [], 0, has_hq
        for stage in stages:
            steps = stage.steps or (stage.epochs or 0) * epoch_steps
            attached = attached or "hq" in stage.train
            placed.append(ScheduledStage(stage=stage, begin=begin, end=begin + steps, hq_attached=attached))
            begin += steps
        self.stages = tuple(placed)

    @property
    def steps(self) -> int:
        """Number of steps of all stages together."""
        return self.stages[-1].end

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that learn in any stage."""
        return frozenset(part for placed in self.stages for part in placed.stage.train)

    @property
    def wants_hq(self) -> bool:
        """Whether the HQ parts are attached in the last stage."""
        return self.stages[-1].hq_attached

    def at(self, step: int) -> ScheduledStage:
        """The stage of a step; steps beyond the last belong to the last stage."""
        return next((placed for placed in self.stages if step < placed.end), self.stages[-1])
