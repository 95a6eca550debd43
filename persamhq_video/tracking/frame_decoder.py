"""The mask decoder of one frame, as mask refiners see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.segmenter import AnySegmenter, Choice, Decoded, Located
from persam_hq.types import DecoderOutput, MaskPrediction, PromptSet
from persamhq_video.protocols.strategy import FrameInfo, Slot
from persamhq_video.tracking.prompt_check import prompt_fault

__all__ = ["FrameDecoder"]


class FrameDecoder:
    """See `persamhq_video.protocols.Decode`. No pass after the first is guided (PerSAM, cascaded post-refinement).

    `latest` is what the newest pass said, of the objects' presence too; `slots` are those of the refiner at work.
    """

    def __init__(
        self, segmenter: AnySegmenter, located: Located[Any, Any], frame: FrameInfo, *, on_call: Callable[[bool], None]
    ) -> None:
        self._segmenter, self._located, self._on_call = segmenter, located, on_call
        self.frame = frame
        self.slots: tuple[Slot, ...] = ()
        self.latest: Decoded | None = None
        self._presence: Tensor | None = None

    @property
    def interm_embeddings(self) -> tuple[Tensor, ...]:
        """See Decode."""
        return self._located.features.interm_embeddings

    def __call__(self, prompts: Sequence[PromptSet]) -> MaskPrediction:
        """See Decode."""
        return self.run(prompts, guided=False, choice="best").prediction

    def hq_only(self, prompts: Sequence[PromptSet]) -> MaskPrediction:
        """See Decode."""
        return self.run(prompts, guided=False, choice="hq").prediction

    def run(self, prompts: Sequence[PromptSet], *, guided: bool, choice: Choice) -> Decoded:
        """One pass of the decoder, counted."""
        _check(prompts)
        self._on_call(guided)
        self.latest = self._segmenter.decode(self._located, prompts, guided=guided, choice=choice)
        self._presence = self.latest.presence
        return self.latest

    def unselected(self, prompts: Sequence[PromptSet]) -> DecoderOutput:
        """See Decode."""
        _check(prompts)
        self._on_call(False)
        output = self._segmenter.outputs(self._located, prompts, guided=False)
        if output.presence is not None:
            self._presence = torch.sigmoid(output.presence)
        return output

    def show(self, logits: Tensor, *, scores: Tensor) -> MaskPrediction:
        """See Decode."""
        presence = torch.ones_like(scores) if self._presence is None else self._presence
        self.latest = self._segmenter.show(self._located, logits, scores=scores, presence=presence)
        return self.latest.prediction


def _check(prompts: Sequence[PromptSet]) -> None:
    """Refuse what would fill the memory or make masks of nothing; whoever made the prompts is named by the caller."""
    for prompt in prompts:
        fault = prompt_fault(prompt)
        if fault is not None:
            raise InputError(f"got {fault}")
