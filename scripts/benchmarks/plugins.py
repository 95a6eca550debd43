"""The benchmark of `scripts/benchmarks/run.py plugins`: the cost of the plugin layer per frame and object.

A segmenter that returns ready results is tracked in two ways, a hundred frames each in turn: through a selector and a
refiner that do nothing, and without calling any. The difference is the cost of the layer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from persam_hq.segmenter import Decoded, Located, SamMemory
from persam_hq.types import ImageFeatures, ImageGeometry, LocationPrior, MaskPrediction, PromptSet
from persamhq_video.tracking.state import Encoded
from persamhq_video.tracking.strategy import Strategy
from persamhq_video.tracking.strategy_runner import StrategyRunner
from persamhq_video.tracking.tracker import VideoTracker
from persamhq_video.types import Frame

SIZE, GRID, TURN = (24, 32), 8, 100
GEOMETRY = ImageGeometry(original=SIZE, input=SIZE, padded=SIZE)
NOTHING = PromptSet.from_points()


def ready_segmenter(objects: int) -> Any:
    """A segmenter that returns the same results at once, whatever it is given."""
    # What decoding gives: one mask per object, each of half the frame
    logits = torch.linspace(-1, 1, SIZE[0] * SIZE[1]).reshape(1, *SIZE).repeat(objects, 1, 1)
    prediction = MaskPrediction(
        masks=logits > 0,
        scores=torch.full((objects,), 0.9),
        low_res_logits=torch.zeros(objects, GRID, GRID),
        logits=logits,
    )
    decoded = Decoded(
        prediction=prediction,
        presence=torch.ones(objects),
        certainty=torch.ones(objects),
        similarity=torch.ones(objects),
    )

    # What locating gives: a prior, and the memory that never changes
    memory = SamMemory(
        boxes=torch.tensor([[1.0, 2, 3, 4]]).repeat(objects, 1),
        logits=torch.zeros(objects, 1, GRID, GRID).half(),
        missing=torch.zeros(objects, dtype=torch.int64),
    )
    prior = LocationPrior(grid=torch.zeros(2, 2), similarity=torch.zeros(SIZE), geometry=GEOMETRY)
    features = ImageFeatures(torch.zeros(1, 1, 2, 2), interm_embeddings=(), geometry=GEOMETRY)
    located: Located[None, SamMemory] = Located(
        priors=(prior,) * objects, features=features, windows=torch.zeros(objects, 4), context=None, memory=memory
    )

    # The methods of a Segmenter that a tracker calls
    return SimpleNamespace(
        encode=lambda _: features,
        personalize=lambda *_: None,
        begin=lambda *_: memory,
        look=lambda _, __, ___, judge: judge(located),
        locate=lambda *_: located,
        decode=lambda *_, **__: decoded,
        remembered_logits=lambda _: memory.logits.float(),
        remember=lambda *_: memory,
    )


class NoPrompt:
    """A selector that does nothing."""

    def __init__(self, *, needs_history: bool) -> None:
        self.needs_history = needs_history

    def __call__(self, *_: object) -> PromptSet:
        """See PromptSelector."""
        return NOTHING


def no_change(prediction: MaskPrediction, *_: object) -> MaskPrediction:
    """A refiner that does nothing."""
    return prediction


class WithoutCalls(StrategyRunner):
    """The same strategies, none of which is called."""

    reads_history = False  # type: ignore[assignment]

    def select(self, _: object, object_ids: Sequence[int], *__: object, **___: object) -> tuple[PromptSet, ...]:
        """See StrategyRunner."""
        return (NOTHING,) * len(object_ids)

    def refine(self, _: object, decoded: Decoded, *__: object) -> Decoded:
        """See StrategyRunner."""
        return decoded


def run(*, frames: int, objects: int) -> None:
    """Print the microseconds per frame and object for a selector with and without history."""
    torch.set_num_threads(1)
    for needs_history in (False, True):
        plugged, bare = seconds_of(frames, objects, needs_history=needs_history)
        cost = (plugged - bare) / (frames * objects) * 1e6
        shown = "the objects' past" if needs_history else "no past"
        print(
            f"{frames} frames, {objects} objects, a selector that sees {shown} and a refiner, both idle: "
            f"{cost:.2f} microseconds a frame and object (track {plugged / frames * 1e3:.2f} ms a frame, "
            f"{bare / frames * 1e3:.2f} without)"
        )


def seconds_of(frames: int, objects: int, *, needs_history: bool) -> tuple[float, float]:
    """Seconds of all frames with the layer and without it, measured in turns, so that both see the same machine."""
    # The same segmenter and strategies, with a runner that calls them and one that does not
    selector = Strategy("prompt selector", "idle", "benchmark", NoPrompt(needs_history=needs_history))
    refiner = Strategy("mask refiner", "idle", "benchmark", no_change)
    segmenter = ready_segmenter(objects)
    runners = [kind(selector, [refiner]) for kind in (StrategyRunner, WithoutCalls)]
    trackers = [VideoTracker(segmenter, strategies=runner, chained=True, guided=True) for runner in runners]

    seconds = [0.0, 0.0]
    for turn in range(-1, frames // TURN):  # the first turn only warms up
        for place, tracker in enumerate(trackers):
            taken = one_turn(tracker, objects)
            seconds[place] += taken if turn >= 0 else 0.0
    return seconds[0], seconds[1]


def one_turn(tracker: VideoTracker, objects: int) -> float:
    """Seconds of `TURN` frames, without those of the first one."""
    # One pixel per object is enough
    labels = np.zeros(SIZE, np.uint8)
    labels.flat[:objects] = range(1, objects + 1)
    image = np.zeros((*SIZE, 3), np.uint8)
    frame = Frame(index=0, pts=0, time_base=Fraction(1, 25), image=image, name="0")
    begun = tracker.begin(frame, labels)
    features, state = Encoded(frame, tracker.segmenter.encode(image)), begun.state

    started = time.perf_counter()
    for _ in range(TURN):
        state, _ = tracker.track(begun.target, state, features)
    return time.perf_counter() - started
