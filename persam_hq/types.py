"""Values that cross from one stage of the model to the next: encode, locate, prompt, decode.

All of them are frozen, compare by identity and show the shapes of their tensors only. Sizes are (height, width)
pairs; points and boxes are (x, y) pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import torch

from persam_hq.errors import InputError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "DecoderOutput",
    "Guidance",
    "ImageFeatures",
    "ImageGeometry",
    "LocationPrior",
    "MaskPrediction",
    "PromptSet",
    "Size",
    "Target",
]

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels or cells."""


class _ShapeRepr:
    """A repr of shapes and dtypes instead of values, for all classes below."""

    # Without this, instances of subclasses with slots would have a __dict__ all the same
    __slots__ = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={_brief(getattr(self, f.name))}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImageGeometry(_ShapeRepr):
    """Sizes of an image on its way into the model: its own, resized (`input`), and of the padded frame around that.

    The resized image sits in the upper left corner of the padded frame.
    """

    original: Size
    input: Size
    padded: Size

    def __post_init__(self) -> None:
        # Every stage divides by these
        for name in ("original", "input", "padded"):
            height, width = getattr(self, name)
            if height < 1 or width < 1:
                raise ShapeError(f"ImageGeometry.{name} is {(height, width)}; both sides must be at least one pixel")
        if self.input[0] > self.padded[0] or self.input[1] > self.padded[1]:
            raise ShapeError(f"the resized image {self.input} does not fit into the padded frame {self.padded}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImageFeatures(_ShapeRepr):
    """Features of one image, as the image encoder makes them; every later stage reads them.

    image_embedding: (1, C, h, w) float over the padded frame.
    interm_embeddings: (1, h', w', C') float each, channels last; the first one feeds the HQ features.
    hq_features: (1, C'', 4h, 4w) float, fused once per image from the two above; None on a plain decoder.
    """

    image_embedding: Tensor
    interm_embeddings: tuple[Tensor, ...]
    geometry: ImageGeometry
    hq_features: Tensor | None = None

    def __post_init__(self) -> None:
        _check("ImageFeatures.image_embedding", self.image_embedding, (1, None, None, None))
        # One per level; their grids and widths are the encoder's own
        for index, embedding in enumerate(self.interm_embeddings):
            _check(f"ImageFeatures.interm_embeddings[{index}]", embedding, (1, None, None, None))
        if self.hq_features is not None:
            _check("ImageFeatures.hq_features", self.hq_features, (1, None, None, None))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Target(_ShapeRepr):
    """The object to find, described by features of the reference image under its mask.

    feature: (C,) float, unit length; the direction compared with every cell of a test image.
    embedding: (1, 1, C) float; the mean feature before normalisation, added to the decoder's queries.
    cells: how many cells of the reference's grid the mask covered.
    """

    feature: Tensor
    embedding: Tensor
    cells: int

    def __post_init__(self) -> None:
        _check("Target.feature", self.feature, (None,))
        _check("Target.embedding", self.embedding, (1, 1, self.feature.shape[0]))
        # The mean over no cell is NaN, which would then spread silently
        if self.cells < 1:
            raise InputError(f"a target needs at least one cell, got {self.cells}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LocationPrior(_ShapeRepr):
    """Similarity of each place of an image to the target: PerSAM's location prior.

    grid: (h, w) float, cosine similarity in [-1, 1] of each cell of the padded frame.
    similarity: (H, W) float, the same at the size of the original image, padding cut off.
    embedding: (C, h, w) float, the features of each cell, or None where they are not handed on.
    """

    grid: Tensor
    similarity: Tensor
    geometry: ImageGeometry
    embedding: Tensor | None = None

    def __post_init__(self) -> None:
        _check("LocationPrior.grid", self.grid, (None, None))
        _check("LocationPrior.similarity", self.similarity, self.geometry.original)
        if self.embedding is not None:
            _check("LocationPrior.embedding", self.embedding, (None, *self.grid.shape))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Guidance(_ShapeRepr):
    """What PerSAM adds to the decoder: target-guided attention and target-semantic prompting; either may be absent.

    attn_sim: (B, 1, 1, h*w) float in [0, 1], added to the attention of tokens to image cells; B is 1 or the number of
    prompt sets.
    target_embedding: (B, 1, C) float, added to the decoder's queries; B as above.
    """

    attn_sim: Tensor | None = None
    target_embedding: Tensor | None = None

    def __post_init__(self) -> None:
        # The first dimension is 1 or the number of prompt sets, which only the decoder knows
        if self.attn_sim is not None:
            _check("Guidance.attn_sim", self.attn_sim, (None, 1, 1, None))
        if self.target_embedding is not None:
            _check("Guidance.target_embedding", self.target_embedding, (None, 1, None))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PromptSet(_ShapeRepr):
    """The prompts of one object, in pixels of the original image.

    points: (N, 2) float; labels: (N,), 1 foreground and 0 background; box: (4,) float x0, y0, x1, y1 or None;
    mask_input: (1, L, L') float low-resolution logits of an earlier pass, or None.
    """

    points: Tensor
    labels: Tensor
    box: Tensor | None = None
    mask_input: Tensor | None = None

    def __post_init__(self) -> None:
        _check("PromptSet.points", self.points, (None, 2))
        _check("PromptSet.labels", self.labels, (self.points.shape[0],))
        if self.box is not None:
            _check("PromptSet.box", self.box, (4,))
        if self.mask_input is not None:
            _check("PromptSet.mask_input", self.mask_input, (1, None, None))

    @classmethod
    def from_points(
        cls,
        *,
        positive: Tensor | Sequence[Sequence[float]] = (),
        negative: Tensor | Sequence[Sequence[float]] = (),
        box: Tensor | None = None,
        mask_input: Tensor | None = None,
    ) -> PromptSet:
        """Foreground points (P, 2) first, background points (Q, 2) after them."""
        # The order is PerSAM's, and tokens that differ in order give other masks
        inside, outside = _as_points(positive), _as_points(negative)
        labels = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))]).to(inside.device)
        return cls(points=torch.cat([inside, outside]), labels=labels, box=box, mask_input=mask_input)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DecoderOutput(_ShapeRepr):
    """Everything the mask decoder computes, before any mask is selected.

    masks: (B, 4, L, L') float logits of SAM's mask tokens; iou_predictions: (B, 4) float, their predicted IoU;
    hq_masks: (B, 1, sL, sL') float logits of the HQ-Output token on a grid s = 1, 2 ... times as fine, None on a plain
    decoder; presence: (B,) float logit that the object is in the image, None where the decoder has no such head.
    """

    masks: Tensor
    iou_predictions: Tensor
    hq_masks: Tensor | None
    presence: Tensor | None = None

    def __post_init__(self) -> None:
        _check("DecoderOutput.masks", self.masks, (None, None, None, None))
        b, tokens, height, width = self.masks.shape
        # The HQ mask may be finer, by the same whole factor on both axes
        _check("DecoderOutput.iou_predictions", self.iou_predictions, (b, tokens))
        if self.hq_masks is not None:
            finer = max(1, self.hq_masks.shape[-1] // width)
            _check("DecoderOutput.hq_masks", self.hq_masks, (b, 1, finer * height, finer * width))
        if self.presence is not None:
            _check("DecoderOutput.presence", self.presence, (b,))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MaskPrediction(_ShapeRepr):
    """The masks of one object in one image.

    masks: (N, H, W) bool at the size of the original image; scores: (N,) float, predicted IoU; low_res_logits:
    (N, L, L') float over the padded frame; logits: (N, H, W) float, what the masks are thresholded from.
    """

    masks: Tensor
    scores: Tensor
    low_res_logits: Tensor
    logits: Tensor

    def __post_init__(self) -> None:
        # Scores and both kinds of logits belong to the same N masks, and full-size logits to the same image
        _check("MaskPrediction.masks", self.masks, (None, None, None))
        if self.masks.dtype != torch.bool:
            raise ShapeError(f"MaskPrediction.masks must be bool, got {self.masks.dtype}")

        count, height, width = self.masks.shape
        _check("MaskPrediction.scores", self.scores, (count,))
        _check("MaskPrediction.low_res_logits", self.low_res_logits, (count, None, None))
        _check("MaskPrediction.logits", self.logits, (count, height, width))

    @property
    def best(self) -> int:
        """Index of the mask with the highest predicted IoU, the first one among equals."""
        return int(self.scores.argmax())


def _as_points(points: Tensor | Sequence[Sequence[float]]) -> Tensor:
    """(N, 2) float32; an empty sequence becomes (0, 2)."""
    return torch.as_tensor(points, dtype=torch.float32).reshape(-1, 2)


def _check(name: str, tensor: Tensor, expected: Sequence[int | None]) -> None:
    """Raise ShapeError unless the shape is `expected`, in which None stands for any length."""
    shape = tuple(tensor.shape)
    # Ranks are compared first, since zip would fail on different ones
    fits = len(shape) == len(expected) and all(e is None or e == s for s, e in zip(shape, expected, strict=True))
    if not fits:
        wanted = ", ".join("any" if e is None else str(e) for e in expected)
        raise ShapeError(f"{name} has shape {shape}; expected ({wanted})")


def _brief(value: object) -> str:
    """A value for a repr: tensors by shape and dtype, all else as it is."""
    if isinstance(value, torch.Tensor):
        return f"Tensor{tuple(value.shape)}[{str(value.dtype).removeprefix('torch.')}]"
    if isinstance(value, tuple) and any(isinstance(item, torch.Tensor) for item in value):
        return "(" + ", ".join(_brief(item) for item in value) + ")"
    return repr(value)
