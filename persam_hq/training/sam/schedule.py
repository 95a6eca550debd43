"""The stages of a run in order: SAM's parts in the early epochs, the HQ parts in the later ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from persam_hq.training.config.sam import Part, Stage

LAST_SHARE = 0.02
"""What is left of a stage's learning rate in its last step."""


@dataclass(frozen=True, slots=True)
class PlacedStage:
    """A stage, the steps [begin, end) that it has, and whether the HQ parts are attached in it."""

    stage: Stage
    begin: int
    end: int
    hq_attached: bool

    def trains(self, part: Part) -> bool:
        """Whether that part learns in the stage."""
        return part in self.stage.train

    @property
    def teaches_sam(self) -> bool:
        """Whether anything learns that SAM's own masks come from."""
        return any(part != "hq" for part in self.stage.train)

    def rate(self, step: int) -> float:
        """The learning rate: a linear warm-up, then a cosine to a fiftieth over the stage."""
        age = step - self.begin
        warmup = min(1.0, (age + 1) / max(1, self.stage.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * age / (self.end - self.begin)))
        return self.stage.learning_rate * warmup * (LAST_SHARE + (1 - LAST_SHARE) * cosine)


class Schedule:
    """Which stage a step belongs to. `has_hq`: whether the weights that the run starts from hold the HQ parts."""

    def __init__(self, stages: Sequence[Stage], *, epoch_steps: int, has_hq: bool) -> None:
        placed, begin, attached = [], 0, has_hq
        for stage in stages:
            steps = stage.steps or (stage.epochs or 0) * epoch_steps
            attached = attached or "hq" in stage.train
            placed.append(PlacedStage(stage=stage, begin=begin, end=begin + steps, hq_attached=attached))
            begin += steps
        self.stages = tuple(placed)

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return self.stages[-1].end

    @property
    def parts(self) -> frozenset[Part]:
        """What learns in any stage."""
        return frozenset(part for placed in self.stages for part in placed.stage.train)

    @property
    def wants_hq(self) -> bool:
        """Whether the HQ parts are attached in the end."""
        return self.stages[-1].hq_attached

    def at(self, step: int) -> PlacedStage:
        """The stage of a step; steps beyond the last belong to the last stage."""
        return next((placed for placed in self.stages if step < placed.end), self.stages[-1])
