"""Finders: one object, shown by a reference photo and its mask, searched for in other photos.

There is one per model (lite, SAM) and per method (PerSAM, PerSAM-F); `build_finder` and `build_tuned_finder` choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.sam import Sam
from persam_hq.personalization import (
    ScaleSolver,
    bottom_points,
    cascade,
    fit_scale_weights,
    guide,
    locate,
    refine_weighed,
    scale_loss,
    top_points,
)
from persam_hq.predictor import ImageModel, bind, decode, decode_scales, encode, personalize
from persam_hq.segmenter import Decoded, LiteSegmenter
from persam_hq.transforms import RgbImage
from persam_hq.types import LocationPrior, MaskPrediction, PromptSet

PRESENT_FROM = 0.5
"""Presence probability from which an object counts as there."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A finder's result for one photo: mask (H, W) bool, empty where the object was not found.

    presence: probability in [0, 1] that it is there; similarity: cosine of the target to the features under the mask;
    predicted_iou: the decoder's own estimate.
    """

    mask: NDArray[np.bool_]
    presence: float
    similarity: float
    predicted_iou: float

    @property
    def is_present(self) -> bool:
        """Whether the object was found."""
        return bool(self.mask.any())

    def __repr__(self) -> str:
        state = "present" if self.is_present else "absent"
        return f"Found({state}, presence={self.presence:.2f}, predicted_iou={self.predicted_iou:.2f})"


class Finder(Protocol):
    """One object, ready to be searched for."""

    def find(self, image: RgbImage) -> Found:
        """The object in a photo (H, W, 3) uint8 RGB."""
        ...


@dataclass(frozen=True, slots=True)
class ScaleFit:
    """PerSAM-F's weights of the three masks, as they were fitted to a reference, and the loss they leave there."""

    weights: tuple[float, float, float]
    loss: float
    solver: ScaleSolver

    @classmethod
    def of(cls, logits: Tensor, mask: NDArray[np.bool_], solver: ScaleSolver) -> ScaleFit:
        """Fitted to logits (3, H, W) and the mask (H, W) of the reference."""
        # The loss is reported beside the weights, so that a poor fit is seen
        truth = torch.from_numpy(mask).to(logits.device)
        weights = fit_scale_weights(logits, truth, solver=solver)
        first, second, third = weights.tolist()
        return cls(weights=(first, second, third), loss=scale_loss(logits, truth, weights), solver=solver)


def build_finder(
    model: ImageModel, image: RgbImage, mask: NDArray[np.bool_], *, use_hq: bool = True
) -> LiteFinder | SamFinder:
    """A finder of the object that `mask` (H, W) bool shows in `image` (H, W, 3) uint8 RGB."""
    _check_reference(image, mask)
    # Lite has a dense matcher of its own; SAM is searched with by PerSAM's method
    if isinstance(model, Lite):
        return LiteFinder(model, image, mask, use_hq=use_hq)
    return SamFinder(model, image, mask, use_hq=use_hq)


def build_tuned_finder(
    model: ImageModel, image: RgbImage, mask: NDArray[np.bool_], *, solver: ScaleSolver = "optimal", use_hq: bool = True
) -> TunedLiteFinder | TunedSamFinder:
    """The same, with the three masks weighed as fits the reference best (PerSAM-F)."""
    _check_reference(image, mask)
    if isinstance(model, Lite):
        return TunedLiteFinder(model, image, mask, solver=solver, use_hq=use_hq)
    return TunedSamFinder(model, image, mask, solver=solver, use_hq=use_hq)


def _check_reference(image: RgbImage, mask: NDArray[np.bool_]) -> None:
    # Before the encoder runs: the errors say what a caller should change
    if mask.shape != image.shape[:2]:
        (height, width), (h, w) = image.shape[:2], mask.shape
        raise ShapeError(f"the reference mask is {w}x{h}, its image {width}x{height}; give a mask of the image's size")
    if not mask.any():
        raise EmptyMaskError("the reference mask is empty, so it shows no object; mark the object's pixels in it")


class LiteFinder:
    """Dense matching to the reference over the whole photo, then once more through a window around what it gave."""

    def __init__(self, model: Lite, image: RgbImage, mask: NDArray[np.bool_], *, use_hq: bool = True) -> None:
        self.segmenter = LiteSegmenter(model, use_hq=use_hq)
        features = self.segmenter.encode(image)
        self.reference = self.segmenter.personalize(features, torch.from_numpy(mask)[None])

    def find(self, image: RgbImage) -> Found:
        """See Finder."""
        # Without a memory the segmenter searches the whole photo, then looks at what it found through a window
        features = self.segmenter.encode(image)
        located = self.segmenter.locate(self.reference, features, None)
        decoded = self.segmenter.decode(located, [PromptSet.from_points()], guided=True, choice="single")
        return _found(decoded)


class SamFinder:
    """PerSAM: the most and the least similar point, target guidance, cascaded post-refinement."""

    def __init__(self, model: Sam, image: RgbImage, mask: NDArray[np.bool_], *, use_hq: bool = True) -> None:
        self.model, self.use_hq = model, use_hq
        # Features are compared before the decoder, so HQ parts play no role here
        self.target = personalize(model, encode(model, image), mask)

    def find(self, image: RgbImage) -> Found:
        """See Finder. Segment Anything has no presence head: the object is there where the mask is not empty."""
        # The location prior gives both points and the guidance of the first pass
        features = encode(self.model, image, with_hq=self.use_hq)
        prior = locate(features, self.target)
        prompts = PromptSet.from_points(positive=top_points(prior.similarity), negative=bottom_points(prior.similarity))
        *_, last = cascade(bind(self.model, features), prompts, guidance=guide(prior, self.target))
        return _best_of(last, prior)


class TunedLiteFinder(LiteFinder):
    """As LiteFinder, with the weighed sum of the three masks in place of the one that agrees best."""

    def __init__(
        self, model: Lite, image: RgbImage, mask: NDArray[np.bool_], *, solver: ScaleSolver, use_hq: bool = True
    ) -> None:
        super().__init__(model, image, mask, use_hq=use_hq)
        # The weights are fitted to what a search of the reference photo itself gives
        located = self.segmenter.locate(self.reference, self.segmenter.encode(image), None)
        self.fit = ScaleFit.of(self.segmenter.decode_scales(located)[0], mask, solver)

    def find(self, image: RgbImage) -> Found:
        """See Finder."""
        located = self.segmenter.locate(self.reference, self.segmenter.encode(image), None)
        return _found(self.segmenter.decode_weighed(located, torch.tensor([self.fit.weights])))


class TunedSamFinder:
    """PerSAM-F: the most similar point, the three masks weighed, two refining passes; nothing else guides it."""

    def __init__(
        self, model: Sam, image: RgbImage, mask: NDArray[np.bool_], *, solver: ScaleSolver, use_hq: bool = True
    ) -> None:
        self.model, self.use_hq = model, use_hq
        # As published: half the mean and half the maximum of the features, and weights for the reference's own masks
        features = encode(model, image)
        self.target = personalize(model, features, mask, pooling="mean_and_max")
        self.fit = ScaleFit.of(
            decode_scales(model, features, self._prompts(locate(features, self.target))), mask, solver
        )

    def find(self, image: RgbImage) -> Found:
        """See SamFinder."""
        # As published: the weighed mask of an unguided pass, then two passes that refine it
        features = encode(self.model, image, with_hq=self.use_hq)
        prior = locate(features, self.target)
        prompts = self._prompts(prior)
        first = decode(self.model, features, prompts, mask_weights=torch.tensor(self.fit.weights))
        _, last = refine_weighed(bind(self.model, features), prompts, first)
        return _best_of(last, prior)

    @staticmethod
    def _prompts(prior: LocationPrior) -> PromptSet:
        return PromptSet.from_points(positive=top_points(prior.similarity))


def _best_of(last: MaskPrediction, prior: LocationPrior) -> Found:
    """The result of SAM's last pass: its best mask, whose similarity is the mean of the prior inside it."""
    # SAM's IoU head may leave [0, 1], being a regression
    mask = last.masks[last.best]
    similarity = prior.similarity[mask]
    return Found(
        mask=mask.cpu().numpy(),
        presence=float(mask.any()),
        similarity=float(similarity.mean()) if len(similarity) else 0.0,
        predicted_iou=float(last.scores[last.best].clamp(0, 1)),
    )


def _found(decoded: Decoded) -> Found:
    """The result of lite for one object; one that is probably absent has an empty mask."""
    presence = float(decoded.presence[0])
    mask = decoded.prediction.masks[0].cpu().numpy()
    return Found(
        mask=mask if presence >= PRESENT_FROM else np.zeros_like(mask),
        presence=presence,
        similarity=float(decoded.similarity[0]),
        predicted_iou=float(decoded.prediction.scores[0]),
    )
