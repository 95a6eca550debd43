"""Prompt encoder, mask decoder and post-processing as one module that can be traced, for `torch.onnx.export`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from persam_hq.compat.amg import calculate_stability_score
from persam_hq.errors import InputError
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.sam import Sam
from persam_hq.transforms import LongestSide
from persam_hq.types import DecoderOutput

__all__ = ["SamOnnxModel"]

Exported = tuple[Tensor, ...]
"""Masks (1, N, H, W), scores (1, N) and low-resolution logits (1, N, L, L), all float; with extra metrics stability
(1, N) and areas (1, N) come before the logits."""
_OFFSET = 1.0
"""Logits by which the cuts of a stability score differ from the threshold (Segment Anything, section 5)."""
_FEW_POINTS = 2.5
"""Points from here on, padding counted, mean one thing, so that mask 0 is taken (Segment Anything's export)."""
_SURELY = 1000.0  # more than predicted IoUs ever differ


class SamOnnxModel(nn.Module):
    """The decoder's side of a model for export, under the name that both Meta's and SAM-HQ's scripts import.

    Meta's takes `return_single_mask`; its inputs are image_embeddings, point_coords, point_labels, mask_input,
    has_mask_input and orig_im_size. SAM-HQ's takes `hq_token_only` and `multimask_output`, and interm_embeddings
    (levels, 1, h, w, C) as its second input. Which one is built goes by these arguments and by the model. Points and
    boxes are rows of point_coords (1, N, 2) with labels 0, 1, 2 and 3 (corners of a box) and -1 (none).
    """

    def __new__(cls, model: Sam, *args: Any, **options: Any) -> Self:
        """Meta's where its argument is given or the model is SAM's, SAM-HQ's otherwise."""
        del args
        is_hq = "return_single_mask" not in options and (
            model.has_hq or not options.keys().isdisjoint({"hq_token_only", "multimask_output"})
        )
        chosen: Any = (_SamHQExport if is_hq else _SamExport) if cls is SamOnnxModel else cls
        made: Self = nn.Module.__new__(chosen)
        return made

    def __init__(self, model: Sam, *, use_stability_score: bool, return_extra_metrics: bool) -> None:
        super().__init__()
        if not isinstance(model.input_frame, LongestSide):
            raise InputError("only models for square frames can be exported; take one of sam_model_registry")
        self.model = model
        self.mask_decoder = model.mask_decoder
        self.img_size = model.input_frame.size
        self.use_stability_score = use_stability_score
        self.stability_score_offset = _OFFSET
        self.return_extra_metrics = return_extra_metrics

    def _decode(
        self, embedding: Tensor, points: tuple[Tensor, Tensor], mask: tuple[Tensor, Tensor], hq_features: Tensor | None
    ) -> DecoderOutput:
        """Everything that the decoder computes, scored as it was asked for."""
        output: DecoderOutput = self.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=self._embed_points(*points),
            dense_prompt_embeddings=self._embed_mask(*mask),
            hq_features=hq_features,
        )
        return replace(output, iou_predictions=self._stability(output.masks)) if self.use_stability_score else output

    def _embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Tokens (1, N, C) of points (1, N, 2), corners of boxes and padding, told by their labels (1, N)."""
        # Sums over all kinds instead of choices among them, which would be traced for these labels alone
        encoder, kind = self.model.prompt_encoder, labels[..., None]
        tokens = encoder.pe_layer.encode((coords + 0.5) / self.img_size) * (kind != -1)
        tokens = tokens + encoder.not_a_point_embed.weight * (kind == -1)
        for number, embedding in enumerate(encoder.point_embeddings):
            assert isinstance(embedding, nn.Embedding)
            tokens = tokens + embedding.weight * (kind == number)
        return tokens

    def _embed_mask(self, mask: Tensor, has_mask: Tensor) -> Tensor:
        """The embedding (1, C, h, w) of a mask (1, 1, 4h, 4w), or of none where `has_mask` (1,) is 0."""
        encoder = self.model.prompt_encoder
        none: Tensor = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        given: Tensor = encoder.mask_downscaling(mask)
        return has_mask * given + (1 - has_mask) * none

    def _stability(self, masks: Tensor) -> Tensor:
        return calculate_stability_score(masks, self.model.mask_threshold, self.stability_score_offset)

    def _exported(self, low_res: Tensor, scores: Tensor, size: Tensor) -> Exported:
        """Masks at the image's `size` (2,), (h, w) float, their scores, and the logits that they were made from."""
        # To the padded frame, then from the image's part of it, by sizes that a trace keeps as inputs
        frame = F.interpolate(low_res, size=(self.img_size, self.img_size), mode="bilinear", align_corners=False)
        scale = self.img_size / torch.max(size)
        height, width = torch.floor(scale * size + 0.5).to(torch.int64)
        original = size.to(torch.int64)
        masks = F.interpolate(
            frame[..., :height, :width],
            size=(original[0], original[1]),  # type: ignore[arg-type]  # as whole numbers they would be traced as fixed
            mode="bilinear",
            align_corners=False,
        )
        if not self.return_extra_metrics:
            return masks, scores, low_res
        areas = (masks > self.model.mask_threshold).sum(dim=(-2, -1))
        return masks, scores, self._stability(masks), areas, low_res


class _SamExport(SamOnnxModel):
    """Meta's, which PerSAM's package has as well."""

    def __init__(
        self,
        model: Sam,
        return_single_mask: bool = False,  # noqa: FBT001, FBT002 - as published
        use_stability_score: bool = False,  # noqa: FBT001, FBT002 - as published
        return_extra_metrics: bool = False,  # noqa: FBT001, FBT002 - as published
    ) -> None:
        super().__init__(model, use_stability_score=use_stability_score, return_extra_metrics=return_extra_metrics)
        self.return_single_mask = return_single_mask

    @torch.no_grad()
    def forward(  # noqa: PLR0917 - in the order in which the exported model takes them
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> Exported:
        """All four masks, or the one that goes with the number of points."""
        points, mask = (point_coords, point_labels), (mask_input, has_mask_input)
        output = self._decode(image_embeddings, points, mask, None)
        masks, scores = output.masks, output.iou_predictions
        if self.return_single_mask:
            # Of masks 1 to 3 the best for a point or two, mask 0 for more of them, without a branch
            first = torch.zeros_like(scores[:1])
            first[:, 0] = _SURELY
            best = (scores + (point_coords.shape[1] - _FEW_POINTS) * first).argmax(dim=1)
            rows = torch.arange(masks.shape[0])
            masks, scores = masks[rows, best][:, None], scores[rows, best][:, None]
        return self._exported(masks, scores, orig_im_size)


class _SamHQExport(SamOnnxModel):
    """SAM-HQ's."""

    def __init__(
        self,
        model: Sam,
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as published
        multimask_output: bool = False,  # noqa: FBT001, FBT002 - as published
        use_stability_score: bool = False,  # noqa: FBT001, FBT002 - as published
        return_extra_metrics: bool = False,  # noqa: FBT001, FBT002 - as published
    ) -> None:
        super().__init__(model, use_stability_score=use_stability_score, return_extra_metrics=return_extra_metrics)
        if not model.has_hq:
            raise InputError("SAM-HQ's export takes a model with HQ parts; load HQ-SAM weights, or give hq=True")
        self.hq_token_only = hq_token_only
        self.multimask_output = multimask_output

    @torch.no_grad()
    def forward(  # noqa: PLR0917 - in the order in which the exported model takes them
        self,
        image_embeddings: Tensor,
        interm_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> Exported:
        """One mask, corrected by the HQ mask, or the HQ mask alone."""
        features = self.mask_decoder.fuse_hq_features(
            image_embeddings=image_embeddings,
            interm_embeddings=interm_embeddings,  # type: ignore[arg-type]  # its first level is taken
        )
        points, mask = (point_coords, point_labels), (mask_input, has_mask_input)
        output = self._decode(image_embeddings, points, mask, features)
        masks, scores = select_masks(output, multimask_output=self.multimask_output, hq_token_only=self.hq_token_only)
        return self._exported(masks, scores, orig_im_size)
