"""Tracking as a fold over frames: encode, locate, decode, decide which objects are there, remember.

A segmenter locates and decodes; a `StrategyRunner` selects the prompts and refines the masks. The tracker knows no
more of either than their interfaces, and every step is a pure function of target, state and features.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.segmenter import AnySegmenter, Choice, Decoded, Located, Memory
from persamhq_video.protocols.strategy import FirstFrame, FrameInfo
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.tracking.frame_decoder import FrameDecoder
from persamhq_video.tracking.label_map import frame_result, given_object, label_map_from_logits, object_results
from persamhq_video.tracking.mixed_identity import distinctness
from persamhq_video.tracking.presence import Presence
from persamhq_video.tracking.state import Encoded, State, TrackTarget, check_room, state_bound
from persamhq_video.tracking.strategy import Slots
from persamhq_video.tracking.strategy_runner import History, StrategyRunner
from persamhq_video.types import Frame, FrameResult, PresenceState

__all__ = ["Encoded", "Presence", "State", "StrategyRunner", "TrackTarget", "VideoTracker"]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """K objects located and decoded on one frame, with the verdict on each object's presence.

    distinct: (K,) in [0, 1], how far each object has its mask for itself.
    """

    located: Located[Any, Memory]
    decoded: Decoded
    states: tuple[PresenceState, ...]
    distinct: Tensor

    @property
    def present(self) -> Tensor:
        """Which objects are there, (K,) bool."""
        return torch.tensor([s != "absent" for s in self.states])


class VideoTracker:
    """The tracker of one model; see `persamhq_video.protocols.tracker.Tracker`, which executors drive.

    `chained`: each frame is located from the state that the one before it left. `guided`: the first pass of the decoder
    uses PerSAM's target-guided attention; `first_choice` says which of its masks is taken.
    """

    def __init__(
        self,
        segmenter: AnySegmenter,
        *,
        strategies: StrategyRunner,
        chained: bool,
        guided: bool,
        first_choice: Choice = "single",
        presence: Presence | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.strategies = strategies
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

        # The target and the first memory, refused where they would not fit into the state
        reference = self.segmenter.personalize(features, masks)
        memory = self.segmenter.begin(features, masks) if self.chained else None
        if memory is not None:
            check_room(memory)

        # The slots of the strategies: all of them stay with the target, and some travel with the state
        fitted = self._fit(encoded, ids, masks, reference, memory)
        slots = self.strategies.remembered(fitted)
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
        frame = features.frame

        # Look for the objects, as often as the segmenter has to
        def judge(located: Located[Any, Memory]) -> _Look:
            return self._judge(located, target, state, frame)

        look = self.segmenter.look(target.reference, features.features, state.memory, judge)

        # The result of the frame
        labels = label_map_from_logits(look.decoded.prediction.logits, look.present, target.ids)
        records = object_results(look.decoded, look.states, target.ids, labels, distinct=look.distinct)
        result = frame_result(frame, labels, records)

        # The state that the next frame starts from
        if state.memory is None:
            return State(None), result
        slots = self.strategies.remember(look.located.priors, _info(frame), result, _all_slots(target, state))
        self._check_slots(slots, state.memory, frame.index)
        return State(self.segmenter.remember(look.located, look.decoded, look.present), slots), result

    def _judge(self, located: Located[Any, Memory], target: TrackTarget, state: State, frame: Frame) -> _Look:
        """The masks of one look at a frame, and the verdict on each object's presence."""
        # Prompts by the chosen strategy, then the first, guided pass, then the refiners
        of_selector, *of_refiners = _all_slots(target, state)
        history = self._history(located)
        prompts = self.strategies.select(located.priors, target.ids, _info(frame), history=history, slots=of_selector)
        located, aimed = self.segmenter.aim(target.reference, located, prompts)
        prompts = tuple(aimed)
        decoder = FrameDecoder(self.segmenter, located, _info(frame), on_call=self._count_call)
        with self.strategies.decoding(frame.index):
            decoded = decoder.run(prompts, guided=self.guided, choice=self.first_choice)
        decoded = self.strategies.refine(decoder, decoded, prompts, frame.image, of_refiners)

        missing = torch.zeros(len(prompts)) if located.memory is None else located.memory.missing

        # Masks that claim the same pixels are doubtful, however sure each is by itself; the memory is told nothing
        states = self.presence.states(decoded, missing)
        found = torch.tensor([state != "absent" for state in states])
        distinct = distinctness(decoded.prediction.masks, found)
        return _Look(located, decoded, self.presence.doubted(states, decoded, distinct), distinct)

    def _fit(
        self, encoded: Encoded, ids: tuple[int, ...], masks: Tensor, reference: Any, memory: Memory | None
    ) -> Slots:
        """Let the strategies learn from the first frame; it is located only where one of them does."""
        if not self.strategies.fits:
            return self.strategies.empty_slots(len(ids))
        info, located = _info(encoded.frame), self.segmenter.locate(reference, encoded.features, memory)
        decode = FrameDecoder(self.segmenter, located, info, on_call=self._count_call)
        first = FirstFrame(info, ids, encoded.frame.image, masks, located.priors, prompts=(), decode=decode)
        return self.strategies.fit(first, self._history(located))

    def _history(self, located: Located[Any, Memory]) -> History | None:
        """What the selector may read of earlier frames; None where there is none, or where it has no use for it."""
        memory = located.memory
        if memory is None or not self.strategies.reads_history:
            return None
        return History(memory.boxes, self.segmenter.remembered_logits(located), memory.missing)

    def _check_slots(self, slots: Slots, memory: Memory, frame: int) -> None:
        """The slots have to fit into the state beside `memory`, which does not grow; else a StrategyError."""
        k = len(memory.boxes)
        self.strategies.check_size(slots, room=state_bound(k) - memory.nbytes, objects=k, frame=frame)

    def _count_call(self, guided: bool) -> None:  # noqa: FBT001 - a callback with one thing to say
        with self._lock:
            self._counts["decoder_calls"] += 1
            self._counts["guided_decoder_calls"] += int(guided)


def _info(frame: Frame) -> FrameInfo:
    return FrameInfo(index=frame.index, size=frame.size)


def _all_slots(target: TrackTarget, state: State) -> Slots:
    """The slots of each strategy: those that travelled, else those fitted to the first frame."""
    travelled = state.slots or ((),) * len(target.fitted)
    return tuple(kept or fitted for kept, fitted in zip(travelled, target.fitted, strict=True))
