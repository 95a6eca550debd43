"""The prompt selector and the mask refiners of a run, called in order; every answer is checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.segmenter import Decoded
from persam_hq.types import LocationPrior, MaskPrediction, PromptSet
from persamhq_video.errors import StrategyError
from persamhq_video.foreign import failure_text
from persamhq_video.protocols.strategy import (
    FirstFrame,
    Fits,
    FrameInfo,
    MaskRefiner,
    ObjectView,
    PromptSelector,
    Seen,
    Slot,
)
from persamhq_video.tracking.frame_decoder import FrameDecoder
from persamhq_video.tracking.prompt_check import prompt_fault
from persamhq_video.tracking.strategy import Slots, Strategy, slot_bytes
from persamhq_video.types import FrameResult

__all__ = ["History", "StrategyRunner"]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The earlier results of K objects that a selector may read, as they lie on the frame at hand.

    boxes: (K, 4) float32 x0, y0, x1, y1 in pixels; logits: (K, 1, L, L) float32 on the decoder's grids of this frame;
    missing: (K,) int64, frames since each object was last seen. All on the CPU.
    """

    boxes: Tensor
    logits: Tensor
    missing: Tensor


class StrategyRunner:
    """Holds the strategies of a run; the tracker asks it for prompts, for refined masks and for what is remembered.

    Slots go in and come out in one order: the selector's first, then those of each refiner. The runner itself has no
    state, so that any worker may do any frame.
    """

    def __init__(self, selector: Strategy[PromptSelector], refiners: Sequence[Strategy[MaskRefiner]] = ()) -> None:
        self.selector = selector
        self.refiners = tuple(refiners)

    @property
    def reads_history(self) -> bool:
        """Whether the selector may have a use for earlier results."""
        return not self.selector.declines_history

    @property
    def fits(self) -> bool:
        """Whether any strategy learns from the first frame."""
        return any(isinstance(strategy.call, Fits) for strategy in self._strategies)

    def fit(self, first: FirstFrame, history: History | None) -> Slots:
        """Let the strategies learn from the first frame; the refiners are shown the prompts selected there."""
        of_selector = self.selector.fit(first, first.object_ids)

        # Prompts are selected only where a refiner learns from them
        if any(isinstance(refiner.call, Fits) for refiner in self.refiners):
            prompts = self.select(first.priors, first.object_ids, first.frame, history=history, slots=of_selector)
            first = replace(first, prompts=prompts)
        return of_selector, *(refiner.fit(first, first.object_ids) for refiner in self.refiners)

    def empty_slots(self, objects: int) -> Slots:
        """The slots where nothing was fitted."""
        return ((None,) * objects,) * len(self._strategies)

    def remembered(self, fitted: Slots) -> Slots:
        """The part of the fitted slots that travels from frame to frame: those of strategies that remember."""
        return tuple(kept if s.remembers else () for s, kept in zip(self._strategies, fitted, strict=True))

    def select(
        self,
        priors: Sequence[LocationPrior],
        object_ids: Sequence[int],
        frame: FrameInfo,
        *,
        history: History | None,
        slots: Sequence[Slot],
    ) -> tuple[PromptSet, ...]:
        """The prompts of each object, by the selector."""
        prompts = []
        for prior, view in zip(priors, _views(object_ids, history, slots), strict=True):
            with self.selector.at(frame.index, view.object_id):
                prompt = self.selector.call(prior, view, frame)
            prompts.append(self._checked(prompt, frame.index, view.object_id))
        return tuple(prompts)

    def refine(
        self,
        decoder: FrameDecoder,
        decoded: Decoded,
        prompts: Sequence[PromptSet],
        image: NDArray[np.uint8],
        slots: Sequence[tuple[Slot, ...]],
    ) -> Decoded:
        """The masks after all refiners, each given those of the one before it; `slots` are the refiners' alone."""
        prediction, index = decoded.prediction, decoder.frame.index
        for refiner, kept in zip(self.refiners, slots, strict=True):
            decoder.slots = kept
            with refiner.at(index):
                refined = refiner.call(prediction, prompts, decoder, image)
            refiner.expect(refined, MaskPrediction, index)
            with refiner.at(index):  # the fields may hold anything
                fault = _prediction_fault(refined, prediction)
            if fault is not None:
                raise refiner.failed(index, None, f"it returned {fault}")
            prediction = refined

        # Presence and certainty are those of the decoder's last pass, whoever asked for it
        latest = decoder.latest or decoded
        return replace(latest, prediction=prediction)

    @contextmanager
    def decoding(self, frame: int) -> Iterator[None]:
        """An error of the decoder inside, such as memory that ran out, names the selector that made the prompts."""
        try:
            yield
        except Exception as exc:
            s = self.selector
            raise StrategyError(
                f"frame {frame}: the mask decoder failed on the prompts of the {s.kind} {s.name!r} (plugin {s.plugin}):"
                f" {failure_text(exc)}"
            ) from exc

    def remember(self, priors: Sequence[LocationPrior], frame: FrameInfo, result: FrameResult, slots: Slots) -> Slots:
        """The slots after a frame; empty for strategies that do not remember."""
        if not any(strategy.remembers for strategy in self._strategies):
            return ()
        seen = [
            Seen(frame, o.object_id, o.state, o.score, torch.from_numpy(result.labels == o.object_id), prior)
            for o, prior in zip(result.objects, priors, strict=True)
        ]
        return tuple(
            tuple(map(strategy.remember, kept, seen)) if strategy.remembers else ()
            for strategy, kept in zip(self._strategies, slots, strict=True)
        )

    def check_size(self, slots: Slots, *, room: int, objects: int, frame: int) -> None:
        """Refuse slots of more than `room` bytes with a StrategyError that names the strategy which keeps most."""
        sizes = [slot_bytes(kept) for kept in slots]
        if sum(sizes) > room:
            largest = self._strategies[sizes.index(max(sizes))]
            raise largest.failed(
                frame,
                None,
                f"its slots hold {max(sizes)} bytes of {objects} objects, and those of all strategies {sum(sizes)}, at"
                f" most {room} travel; track fewer objects at a time",
            )

    def _checked(self, prompt: object, frame: int, object_id: int) -> PromptSet:
        """What the selector returned, if the decoder can take it; else a StrategyError."""
        prompts = self.selector.expect(prompt, PromptSet, frame, object_id)
        with self.selector.at(frame, object_id):  # what the fields hold is the plugin's doing
            fault = prompt_fault(prompts)
        if fault is not None:
            raise self.selector.failed(frame, object_id, f"it returned {fault}")
        return prompts

    @property
    def _strategies(self) -> tuple[Strategy[Any], ...]:
        """The selector, then the refiners: the order of the slots."""
        return self.selector, *self.refiners


def _views(object_ids: Sequence[int], history: History | None, slots: Sequence[Slot]) -> list[ObjectView]:
    """What the selector is shown of each object."""
    if history is None:
        return [
            ObjectView(i, box=None, mask_logits=None, missing=0, slot=slot)
            for i, slot in zip(object_ids, slots, strict=True)
        ]
    rows = zip(object_ids, history.boxes.tolist(), history.logits.numpy(), history.missing.tolist(), slots, strict=True)
    return [ObjectView(i, tuple(box), mask, missing, slot) for i, box, mask, missing, slot in rows]


def _prediction_fault(got: MaskPrediction, before: MaskPrediction) -> str | None:
    """What is wrong with the masks that a refiner returned, None where nothing is."""
    # A refiner changes masks, not how many there are nor their sizes
    for name in ("masks", "low_res_logits"):
        shape, expected = (tuple(getattr(of, name).shape) for of in (got, before))
        if shape != expected:
            return f"{name} of shape {shape}, expected {expected}"

    # An infinite logit says for sure; one that is no number would be background without anybody noticing
    if bool(torch.isnan(got.logits).any()) or bool(torch.isnan(got.low_res_logits).any()):
        return "logits that are no numbers (NaN)"
    if not bool(torch.isfinite(got.scores).all()):
        return "scores that are not finite, expected 0 to 1 per object"
    return None
