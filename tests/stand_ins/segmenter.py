"""A segmenter that decodes what it is told to, and a tracker around it."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch

from persam_hq.segmenter import Decoded, Located, SamMemory
from persam_hq.types import DecoderOutput, ImageFeatures, ImageGeometry, LocationPrior, MaskPrediction, PromptSet
from persamhq_video.tracking.strategy import Strategy
from persamhq_video.tracking.strategy_runner import StrategyRunner
from persamhq_video.tracking.tracker import VideoTracker
from persamhq_video.types import Frame

SIZE = (8, 10)
GEOMETRY = ImageGeometry(original=SIZE, input=SIZE, padded=SIZE)


def frame(index=0):
    return Frame(
        index=index, pts=index, time_base=Fraction(1, 25), image=np.zeros((*SIZE, 3), np.uint8), name=f"{index}"
    )


def rectangle(x0, y0, x1, y1, *, logit=5.0):
    """Logits of a rectangle, first and last column and row inclusive."""
    logits = torch.full(SIZE, -5.0)
    logits[y0 : y1 + 1, x0 : x1 + 1] = logit
    return logits


NOWHERE = torch.full(SIZE, -5.0)


@dataclass
class FakeSegmenter:
    """Decodes the logits it was told to, object by object, and keeps what it was asked."""

    logits: list[torch.Tensor] = field(default_factory=list)
    presence: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    calls: list[dict] = field(default_factory=list)
    remembered: list[torch.Tensor] = field(default_factory=list)

    def encode(self, image):
        return ImageFeatures(image_embedding=torch.zeros(1, 2, 2, 2), interm_embeddings=(), geometry=GEOMETRY)

    def personalize(self, features, masks):
        return masks.clone()

    def begin(self, features, masks):
        k = len(masks)
        boxes = torch.arange(4.0).repeat(k, 1) + 10 * torch.arange(k)[:, None]
        return SamMemory(boxes=boxes, logits=torch.ones(k, 1, 4, 4).half(), missing=torch.zeros(k, dtype=torch.int64))

    def look(self, reference, features, memory, judge):
        return judge(self.locate(reference, features, memory))

    def locate(self, reference, features, memory):
        prior = LocationPrior(grid=torch.zeros(2, 2), similarity=torch.zeros(SIZE), geometry=GEOMETRY)
        k = len(reference)
        return Located(priors=(prior,) * k, features=features, windows=torch.zeros(k, 4), context=memory, memory=memory)

    def decode(self, located, prompts, *, guided, choice):
        self.calls.append({"prompts": list(prompts), "guided": guided, "choice": choice})
        k = len(located.priors)
        logits = torch.stack(self.logits)
        prediction = MaskPrediction(
            masks=logits > 0,
            scores=torch.tensor(self.scores or [0.9] * k),
            low_res_logits=torch.zeros(k, 4, 4),
            logits=logits,
        )
        similarity = torch.full((k,), 0.1 * len(self.calls))
        return Decoded(
            prediction=prediction,
            presence=torch.tensor(self.presence or [1.0] * k),
            certainty=prediction.scores,
            similarity=similarity,
        )

    def remember(self, located, decoded, present):
        self.remembered.append(present)
        return located.memory

    def outputs(self, located, prompts, *, guided):
        k = len(prompts)
        masks = torch.arange(4.0).reshape(1, 4, 1, 1).expand(k, 4, 4, 4).clone()
        return DecoderOutput(
            masks=masks, iou_predictions=torch.full((k, 4), 0.5), hq_masks=None, presence=torch.zeros(k)
        )

    def show(self, located, logits, *, scores, presence):
        shown = torch.nn.functional.interpolate(logits, size=SIZE)[:, 0]
        prediction = MaskPrediction(masks=shown > 0, scores=scores, low_res_logits=logits[:, 0], logits=shown)
        return Decoded(prediction=prediction, presence=presence, certainty=scores, similarity=0 * scores)

    def aim(self, reference, located, prompts):
        return located, prompts

    def remembered_logits(self, located):
        return located.memory.logits.float()


class Points:
    needs_history = True

    def __init__(self):
        self.views, self.frames = [], []

    def __call__(self, prior, view, frame):
        self.views.append(view)
        self.frames.append(frame)
        return PromptSet.from_points(positive=[[1.0, 2]])


def named(kind, strategy):
    return Strategy(kind=kind, name=type(strategy).__name__.lower(), plugin="test.py", call=strategy)


def tracker(segmenter, *, selector=None, refiners=(), chained=True, guided=True, **options):
    strategies = StrategyRunner(
        named("prompt selector", selector or Points()), [named("mask refiner", refiner) for refiner in refiners]
    )
    return VideoTracker(segmenter, strategies=strategies, chained=chained, guided=guided, **options)


LABELS = np.zeros(SIZE, np.uint8)
LABELS[1:4, 1:4] = 7
LABELS[5:7, 5:9] = 3
IDS = (3, 7)


def step(segmenter, labels=LABELS, index=1, **options):
    video = tracker(segmenter, **options)
    begun = video.begin(frame(), labels)
    state, result = video.track(begun.target, begun.state, video.encode(frame(index)))
    return video, state, result
