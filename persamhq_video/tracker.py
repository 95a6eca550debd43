"""Tracking as a fold over frames: locate, select prompts, decode, refine, decide what is there, remember."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.errors import CheckpointError
from persam_hq.modeling.location_prior import RidgeSums
from persam_hq.segmenter import Choice, Decoded, Located, Memory, Segmenter, build_segmenter
from persam_hq.segmenter.appearance import Appearance
from persam_hq.segmenter.build import embedded_weights
from persam_hq.types import ImageFeatures, LocationPrior, MaskPrediction, PromptSet
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, ExecutorError
from persamhq_video.protocols import Beginning, FrameInfo, MaskRefiner, ObjectView, PromptSelector
from persamhq_video.types import Frame, FrameResult, ObjectResult, PresenceState

__all__ = ["Encoded", "Presence", "State", "TrackTarget", "VideoTracker", "build_tracker", "weights_path"]

ValueT = TypeVar("ValueT")
BYTES_PER_OBJECT, BYTES_PER_VIDEO = 256 * 1024, 1024 * 1024
"""The bound of the travelling state."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A frame and its features, kept on the worker that made them."""

    frame: Frame
    features: ImageFeatures

    def __repr__(self) -> str:
        return f"Encoded({self.frame!r}, {self.features!r})"


@dataclass(frozen=True, slots=True, eq=False)
class TrackTarget:
    """The object ids of a video, in the order of everything else, and what the segmenter made of the first frame."""

    ids: tuple[int, ...]
    reference: Any


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What travels from frame to frame; None in `independent` mode."""

    memory: Memory | None

    def __post_init__(self) -> None:
        if self.memory is not None:
            bound = BYTES_PER_VIDEO + BYTES_PER_OBJECT * len(self.memory.boxes)
            assert self.memory.nbytes <= bound, f"the state holds {self.memory.nbytes} bytes, more than {bound}"


@dataclass(frozen=True, slots=True)
class Presence:
    """Probabilities in [0, 1] below which an object is called absent, and below which its mask is uncertain.

    An object that was absent needs more, `returns_from`, to be called present again: what looks like it is common, and
    a wrong mask is followed for long. With `absent_below` 0 an object is absent where its mask is empty.
    """

    absent_below: float = 0.1
    returns_from: float = 0.5
    uncertain_below: float = 0.5

    def states(self, decoded: Decoded, missing: Tensor) -> tuple[PresenceState, ...]:
        """What is said of each object; `missing` (K,) counts the frames since it was last seen."""
        areas = decoded.prediction.masks.flatten(1).sum(dim=1)
        return tuple(
            self._state(int(area), float(probability), float(score), was_absent=bool(gone))
            for area, probability, score, gone in zip(
                areas, decoded.presence, decoded.prediction.scores, missing, strict=True
            )
        )

    def _state(self, area: int, probability: float, score: float, *, was_absent: bool) -> PresenceState:
        needed = self.returns_from if was_absent and self.absent_below > 0 else self.absent_below
        if area == 0 or probability < needed:
            return "absent"
        return "uncertain" if probability * score < self.uncertain_below else "present"


STATE_TYPES: tuple[type, ...] = (State, Memory, Appearance, RidgeSums)
"""See TrackerModule."""


class VideoTracker:
    """Segmenter and strategies, wired; see `persamhq_video.protocols.Tracker`."""

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        selector: PromptSelector,
        refiners: Sequence[MaskRefiner],
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
        ids = tuple(int(i) for i in np.unique(labels) if i)
        masks = torch.from_numpy(np.stack([labels == i for i in ids]))
        features = self.encode(frame).features
        target = TrackTarget(ids=ids, reference=self.segmenter.personalize(features, masks))
        memory = self.segmenter.begin(features, masks) if self.chained else None
        given = [_given(i, mask) for i, mask in zip(ids, masks.numpy(), strict=True)]
        return Beginning(target=target, state=State(memory), result=_result(frame, labels, given))

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
        located = self.segmenter.locate(target.reference, features.features, memory)

        # Prompts by the chosen strategy, then the first, guided pass
        prompts = self._select(located.priors, target.ids, memory, frame)
        decoded = self._decode(located, prompts, guided=self.guided, choice=self.first_choice)
        decoded = self._refine(located, decoded, prompts, frame)

        # What is there, and what is remembered of it
        missing = torch.zeros(len(prompts)) if memory is None else memory.missing
        states = self.presence.states(decoded, missing)
        present = torch.tensor([s != "absent" for s in states])
        labels = _merge(decoded.prediction.logits, present, target.ids)
        result = _result(frame, labels, _objects(decoded, states, target.ids, labels))
        if memory is not None:
            memory = self.segmenter.remember(located, decoded, memory, present)
        return State(memory), result

    def _select(
        self, priors: Sequence[LocationPrior], ids: Sequence[int], memory: Memory | None, frame: Frame
    ) -> tuple[PromptSet, ...]:
        info = FrameInfo(index=frame.index, size=frame.size)
        prompts = []
        for row, (prior, object_id) in enumerate(zip(priors, ids, strict=True)):
            prompt = self.selector(prior, _view(object_id, row, memory), info)
            prompts.append(_expect(prompt, PromptSet, strategy=self.selector, kind="prompt selector"))
        return tuple(prompts)

    def _decode(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool, choice: Choice) -> Decoded:
        with self._lock:
            self._counts["decoder_calls"] += 1
            self._counts["guided_decoder_calls"] += int(guided)
        return self.segmenter.decode(located, prompts, guided=guided, choice=choice)

    def _refine(self, located: Located, decoded: Decoded, prompts: Sequence[PromptSet], frame: Frame) -> Decoded:
        latest = decoded

        def decode_again(again: Sequence[PromptSet]) -> MaskPrediction:
            nonlocal latest
            latest = self._decode(located, again, guided=False, choice="best")
            return latest.prediction

        prediction = decoded.prediction
        for refiner in self.refiners:
            prediction = refiner(prediction, prompts, decode_again, frame.image)
            _expect(prediction, MaskPrediction, strategy=refiner, kind="mask refiner")
            if len(prediction.masks) != len(prompts):
                name, got = type(refiner).__name__, len(prediction.masks)
                raise ExecutorError(f"the mask refiner {name} returned {got} masks for {len(prompts)} objects")
        return Decoded(prediction=prediction, presence=latest.presence, similarity=latest.similarity)


def build_tracker(config: RunConfig, selector: PromptSelector, refiners: Sequence[MaskRefiner]) -> VideoTracker:
    """The tracker of a resolved configuration; raises PersamHQError where model and weights do not fit."""
    if config.model != "lite" and config.strategies.prompts == "dense_prior":
        raise ConfigError(
            f"the prompt selector dense_prior goes with the model lite, got {config.model}; choose another --prompts"
        )
    segmenter = build_segmenter(
        config.model,
        checkpoint=config.checkpoint,
        device="cpu" if config.device == "auto" else config.device,
        dtype=torch.float32 if config.dtype == "auto" else getattr(torch, config.dtype),
        published=config.published,
        without=config.without,
        use_hq=config.uses_hq,
        keep_interm=config.keep_interm,
    )
    chained = config.mode != "independent"
    return VideoTracker(
        segmenter,
        selector=selector,
        refiners=refiners,
        chained=chained,
        # PerSAM's published video script guides nothing and starts from the largest of three masks
        guided=not config.no_guidance and not (config.published and chained),
        first_choice="largest" if config.published and chained else "single",
        presence=Presence(absent_below=0.0) if "presence" in config.without else None,
    )


def weights_path(config: RunConfig) -> Path:
    """The weights file that a configuration means; CheckpointError where none is named and none is embedded."""
    if config.checkpoint is not None:
        path = config.checkpoint
        if not path.is_file():
            raise CheckpointError(f"no checkpoint at {path}; --checkpoint takes a .safetensors or .pth file")
        return path
    if config.model == "lite":
        return embedded_weights()
    raise CheckpointError(
        f"the model {config.model} comes without weights; pass --checkpoint with published {config.model} weights"
    )


def _expect(value: object, expected: type[ValueT], *, strategy: object, kind: str) -> ValueT:
    """What a strategy returned, if it is what strategies of its kind return."""
    if not isinstance(value, expected):
        name, got = type(strategy).__name__, type(value).__name__
        raise ExecutorError(f"the {kind} {name} returned a {got}, not a {expected.__name__}")
    return value


def _view(object_id: int, row: int, memory: Memory | None) -> ObjectView:
    if memory is None:
        return ObjectView(object_id=object_id, box=None, mask_logits=None, missing=0)
    x0, y0, x1, y1 = memory.boxes[row].tolist()
    return ObjectView(
        object_id=object_id,
        box=(x0, y0, x1, y1),
        mask_logits=memory.logits[row].float().numpy(),
        missing=int(memory.missing[row]),
    )


def _merge(logits: Tensor, present: Tensor, ids: Sequence[int]) -> NDArray[np.uint8]:
    """One label map (H, W) from logits (K, H, W): each pixel goes to the object that claims it most."""
    claims = torch.where(present[:, None, None].to(logits.device), logits, torch.full_like(logits, -torch.inf))
    strongest, owner = claims.max(dim=0)
    names = torch.tensor(ids, dtype=torch.uint8, device=logits.device)
    labels = torch.where(strongest > 0, names[owner], torch.zeros_like(names[owner]))
    return labels.cpu().numpy()


def _objects(
    decoded: Decoded, states: Sequence[PresenceState], ids: Sequence[int], labels: NDArray[np.uint8]
) -> list[ObjectResult]:
    results = []
    scores, presence = decoded.prediction.scores.tolist(), decoded.presence.tolist()
    for row, (object_id, state) in enumerate(zip(ids, states, strict=True)):
        mask = labels == object_id
        iou = min(max(float(scores[row]), 0.0), 1.0)
        results.append(
            ObjectResult(
                object_id=object_id,
                state=state,
                score=0.0 if state == "absent" else iou * float(presence[row]),
                similarity=float(decoded.similarity[row]),
                predicted_iou=iou,
                area=int(mask.sum()),
                box=_box(mask),
            )
        )
    return results


def _given(object_id: int, mask: NDArray[np.bool_]) -> ObjectResult:
    return ObjectResult(
        object_id=object_id,
        state="given",
        score=1.0,
        similarity=1.0,
        predicted_iou=1.0,
        area=int(mask.sum()),
        box=_box(mask),
    )


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _result(frame: Frame, labels: NDArray[np.uint8], objects: Sequence[ObjectResult]) -> FrameResult:
    return FrameResult(
        index=frame.index,
        pts=frame.pts,
        time_base=frame.time_base,
        name=frame.name,
        labels=labels,
        objects=tuple(objects),
    )
