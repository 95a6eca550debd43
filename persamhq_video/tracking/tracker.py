"""Tracking as a fold over frames: locate, select prompts, decode, refine, decide what is there, remember."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.segmenter import Choice, Decoded, Located, Memory, Segmenter
from persam_hq.types import MaskPrediction, PromptSet
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
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.tracking.frame_decoder import FrameDecoder
from persamhq_video.tracking.label_map import frame_result, given_object, merge_masks, object_results
from persamhq_video.tracking.presence import Presence
from persamhq_video.tracking.state import Encoded, Slots, State, TrackTarget, check_room, state_bound
from persamhq_video.tracking.strategy import Strategy, slot_bytes
from persamhq_video.types import Frame, FrameResult, PresenceState

__all__ = ["Encoded", "Presence", "State", "TrackTarget", "VideoTracker"]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What one look at a frame found of K objects."""

    located: Located
    decoded: Decoded
    states: tuple[PresenceState, ...]

    @property
    def present(self) -> Tensor:
        """Which are there, (K,) bool."""
        return torch.tensor([s != "absent" for s in self.states])


class VideoTracker:
    """Segmenter and strategies, wired; see `persamhq_video.protocols.tracker.Tracker`."""

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        selector: Strategy[PromptSelector],
        refiners: Sequence[Strategy[MaskRefiner]],
        chained: bool,
        guided: bool,
        first_choice: Choice = "single",
        presence: Presence | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.selector = selector
        self.refiners = tuple(refiners)
        self.chained = chained
        self.guided = guided
        self.first_choice: Choice = first_choice
        self.presence = presence or Presence()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[TrackTarget, State]:
        """See Tracker."""
        return self.begin_encoded(self.encode(frame), labels)

    def begin_encoded(self, encoded: Encoded, labels: NDArray[np.uint8]) -> Beginning[TrackTarget, State]:
        """As `begin`, on features that are there already; another tracker of the same model may have made them."""
        frame, features = encoded.frame, encoded.features
        ids = tuple(int(i) for i in np.unique(labels) if i)
        masks = torch.from_numpy(np.stack([labels == i for i in ids]))
        reference = self.segmenter.personalize(features, masks)
        memory = self.segmenter.begin(features, masks) if self.chained else None
        if memory is not None:
            check_room(memory)
        fitted = self._fit(frame, ids, masks, memory, lambda: self.segmenter.locate(reference, features, memory))
        slots = tuple(kept if s.remembers else () for s, kept in zip(self._strategies, fitted, strict=True))
        if memory is not None:
            self._check_slots(slots, memory, frame.index)
        given = [given_object(i, mask) for i, mask in zip(ids, masks.numpy(), strict=True)]
        return Beginning(
            target=TrackTarget(ids=ids, reference=reference, fitted=fitted),
            state=State(memory, slots) if self.chained else State(None),
            result=frame_result(frame, labels, given),
        )

    def encode(self, frame: Frame) -> Encoded:
        """See Tracker."""
        return Encoded(frame=frame, features=self.segmenter.encode(frame.image))

    def feature_bytes(self, features: Encoded) -> Mapping[str, int]:
        """See Tracker: the image and every tensor of the features."""
        held = features.features
        return {
            "image": features.frame.image.nbytes,
            "image_embedding": held.image_embedding.nbytes,
            "interm_embeddings": sum(interm.nbytes for interm in held.interm_embeddings),
            "hq_features": 0 if held.hq_features is None else held.hq_features.nbytes,
        }

    def counts(self) -> Mapping[str, int]:
        """See Tracker."""
        with self._lock:
            return dict(self._counts)

    def track(self, target: TrackTarget, state: State, features: Encoded) -> tuple[State, FrameResult]:
        """See Tracker."""
        frame, memory = features.frame, state.memory
        if memory is not None:
            memory = self.segmenter.after_cut(features.features, memory)
            state = State(memory, state.slots)
        look = self._look(target, state, features, memory)
        if memory is not None:
            recentred = self.segmenter.recentred(look.located, look.decoded, memory, look.present)
            if recentred is not None:
                look = self._look(target, state, features, recentred)

        labels = merge_masks(look.decoded.prediction.logits, look.present, target.ids)
        result = frame_result(frame, labels, object_results(look.decoded, look.states, target.ids, labels))
        if memory is None:
            return State(None), result
        info = FrameInfo(index=frame.index, size=frame.size)
        kept = self._remember(look.located, info, result, self._slots(target, state))
        self._check_slots(kept, memory, frame.index)
        return State(self.segmenter.remember(look.located, look.decoded, memory, look.present), kept), result

    def _look(self, target: TrackTarget, state: State, features: Encoded, recalled: Memory | None) -> _Look:
        """All objects as found where `recalled` says to look; everything else is from `state`."""
        frame, memory = features.frame, state.memory
        info, slots = FrameInfo(index=frame.index, size=frame.size), self._slots(target, state)
        located = self.segmenter.locate(target.reference, features.features, recalled)

        # Prompts by the chosen strategy, then the first, guided pass
        prompts = self._select(located, target.ids, memory, info, slots[0])
        decoder = FrameDecoder(self.segmenter, located, info, on_call=self._count_call)
        decoded = decoder.run(prompts, guided=self.guided, choice=self.first_choice)
        decoded = self._refine(decoder, decoded, prompts, frame.image, slots[1:])

        missing = torch.zeros(len(prompts)) if memory is None else memory.missing
        return _Look(located, decoded, self.presence.states(decoded, missing))

    @property
    def _strategies(self) -> tuple[Strategy[Any], ...]:
        """The selector, then the refiners."""
        return self.selector, *self.refiners

    def _slots(self, target: TrackTarget, state: State) -> Slots:
        """What each strategy keeps: what travels, or what was fitted to the first frame."""
        return tuple(map(lambda kept, fitted: kept or fitted, state.slots or ((),) * len(target.fitted), target.fitted))

    def _fit(
        self,
        frame: Frame,
        ids: Sequence[int],
        masks: Tensor,
        memory: Memory | None,
        locate: Callable[[], Located],
    ) -> Slots:
        """Let the strategies learn from the first frame; it is located only where one of them does."""
        if not any(isinstance(strategy.call, Fits) for strategy in self._strategies):
            return ((None,) * len(ids),) * len(self._strategies)
        info, located = FrameInfo(index=frame.index, size=frame.size), locate()
        decode = FrameDecoder(self.segmenter, located, info, on_call=self._count_call)
        first = FirstFrame(info, tuple(ids), frame.image, masks, located.priors, prompts=(), decode=decode)
        of_selector = self.selector.fit(first, ids)
        if any(isinstance(refiner.call, Fits) for refiner in self.refiners):
            first = replace(first, prompts=self._select(located, ids, memory, info, of_selector))
        return of_selector, *(refiner.fit(first, ids) for refiner in self.refiners)

    def _select(
        self, located: Located, ids: Sequence[int], memory: Memory | None, frame: FrameInfo, slots: Sequence[Slot]
    ) -> tuple[PromptSet, ...]:
        views = self._views(located, ids, memory, slots)
        prompts = []
        for prior, view in zip(located.priors, views, strict=True):
            with self.selector.at(frame.index, view.object_id):
                prompt = self.selector.call(prior, view, frame)
            prompts.append(self.selector.expect(prompt, PromptSet, frame.index, view.object_id))
        return tuple(prompts)

    def _views(
        self, located: Located, ids: Sequence[int], memory: Memory | None, slots: Sequence[Slot]
    ) -> list[ObjectView]:
        """What the selector is shown of each object."""
        if memory is None or self.selector.shuns_history:
            return [
                ObjectView(i, box=None, mask_logits=None, missing=0, slot=s) for i, s in zip(ids, slots, strict=True)
            ]
        logits = self.segmenter.carried(located, memory).numpy()
        rows = zip(ids, memory.boxes.tolist(), logits, memory.missing.tolist(), slots, strict=True)
        return [ObjectView(i, tuple(box), mask, missing, slot) for i, box, mask, missing, slot in rows]

    def _refine(
        self,
        decoder: FrameDecoder,
        decoded: Decoded,
        prompts: Sequence[PromptSet],
        image: NDArray[np.uint8],
        slots: Sequence[tuple[Slot, ...]],
    ) -> Decoded:
        prediction, index = decoded.prediction, decoder.frame.index
        for refiner, kept in zip(self.refiners, slots, strict=True):
            decoder.slots = kept
            with refiner.at(index):
                refined = refiner.call(prediction, prompts, decoder, image)
            refiner.expect(refined, MaskPrediction, index)
            _check_shapes(refiner, refined, prediction, index)
            prediction = refined
        latest = decoder.latest or decoded
        return replace(latest, prediction=prediction)

    def _remember(self, located: Located, frame: FrameInfo, result: FrameResult, slots: Slots) -> Slots:
        """What the strategies keep after a frame; nothing of those that do not remember."""
        if not any(strategy.remembers for strategy in self._strategies):
            return ()
        seen = [
            Seen(frame, o.object_id, o.state, o.score, torch.from_numpy(result.labels == o.object_id), prior)
            for o, prior in zip(result.objects, located.priors, strict=True)
        ]
        return tuple(
            tuple(map(strategy.remember, kept, seen)) if strategy.remembers else ()
            for strategy, kept in zip(self._strategies, slots, strict=True)
        )

    def _check_slots(self, slots: Slots, memory: Memory, frame: int) -> None:
        """What the strategies keep has to fit beside `memory`, which does not grow; else a StrategyError."""
        k = len(memory.boxes)
        sizes, room = [slot_bytes(kept) for kept in slots], state_bound(k) - memory.nbytes
        if sum(sizes) > room:
            largest = self._strategies[sizes.index(max(sizes))]
            raise largest.failed(
                frame,
                None,
                f"its slots hold {max(sizes)} bytes of {k} objects, and those of all strategies {sum(sizes)}, at most"
                f" {room} travel; track fewer objects at a time",
            )

    def _count_call(self, guided: bool) -> None:  # noqa: FBT001 - a callback with one thing to say
        with self._lock:
            self._counts["decoder_calls"] += 1
            self._counts["guided_decoder_calls"] += int(guided)


def _check_shapes(refiner: Strategy[Any], got: MaskPrediction, before: MaskPrediction, frame: int) -> None:
    """A refiner changes masks, not how many there are nor their sizes."""
    for name in ("masks", "low_res_logits"):
        shape, expected = (tuple(getattr(of, name).shape) for of in (got, before))
        if shape != expected:
            raise refiner.failed(frame, None, f"it returned {name} of shape {shape}, expected {expected}")
