"""Mask decoder of SAM, PerSAM, SAM-HQ and lite, and the functions that choose among its masks.

One module serves all four: HQ parts and the presence head are built where asked for, and guidance is an argument. It
returns everything it computes as a DecoderOutput; `select_masks` and `weighted_mask` choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from persam_hq.modeling.common import MLP, LayerNorm2d
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.personalization.scale_weights import weigh_masks
from persam_hq.types import DecoderOutput


@dataclass(frozen=True, slots=True, eq=False)
class HQModules:
    """The HQ branch (SAM-HQ, section 3.2): the modules that fuse features and adapt the mask features.

    `compress_vit_feat` brings the first interm embedding to the mask grid, `embedding_encoder` the image embedding;
    their sum is the HQ features. `embedding_maskfeature` adapts the mask features that the HQ token is applied to.
    """

    compress_vit_feat: nn.Module
    embedding_encoder: nn.Module
    embedding_maskfeature: nn.Module


class Upscaling(Protocol):
    """The image embedding, and skip connections if any, to mask features at four times the grid."""

    def upscale(self, x: Tensor, skips: Sequence[Tensor] | None) -> Tensor:
        """(B, C, h, w) float to (B, mask_dim, 4h, 4w) float."""
        ...


class SamUpscaling(nn.Sequential):
    """SAM's own: two transposed convolutions and no skip connections."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )

    def upscale(self, x: Tensor, skips: Sequence[Tensor] | None) -> Tensor:
        """(B, C, h, w) to (B, C/8, 4h, 4w); `skips` is not read."""
        del skips
        out: Tensor = self(x)
        return out


class HQView(Protocol):
    """HQ features seen indirectly: lite's window, which resamples the product instead of the wider features."""

    def product(self, weights: Tensor) -> Tensor:
        """The token's weights (B, mask_dim) times the features: (B, 1, L, L')."""
        ...


class MaskDecoder(nn.Module):
    """Tokens for the IoU, four masks and, with `hq`, the HQ-Output token (`hf_token`), decoded in one pass.

    `mask_dim` is the width of the mask features that `output_upscaling` and the HQ modules give; with `presence` a
    further head says whether the object is in the image at all.
    """

    def __init__(
        self,
        *,
        transformer: TwoWayTransformer,
        transformer_dim: int,
        output_upscaling: Upscaling,
        mask_dim: int = 32,
        num_multimask_outputs: int = 3,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        hq: HQModules | None = None,
        presence: bool = False,
    ) -> None:
        super().__init__()
        self.num_mask_tokens = num_multimask_outputs + 1

        # Hypernetworks and the presence head have one shape: three layers as wide as the transformer
        def head(output_dim: int) -> MLP:
            return MLP(input_dim=transformer_dim, hidden_dim=transformer_dim, output_dim=output_dim, num_layers=3)

        # SAM's decoder: output tokens, upscaling, a hypernetwork per mask token, and the IoU head
        self.transformer = transformer
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = output_upscaling
        self.output_hypernetworks_mlps = nn.ModuleList(head(mask_dim) for _ in range(self.num_mask_tokens))
        self.iou_prediction_head = MLP(
            input_dim=transformer_dim,
            hidden_dim=iou_head_hidden_dim,
            output_dim=self.num_mask_tokens,
            num_layers=iou_head_depth,
        )
        self.presence_head = head(1) if presence else None

        # SAM-HQ adds a token, its hypernetwork, and three modules around the HQ features
        self.has_hq = hq is not None
        if hq is not None:
            self.hf_token = nn.Embedding(1, transformer_dim)
            self.hf_mlp = head(mask_dim)
            self.compress_vit_feat = hq.compress_vit_feat
            self.embedding_encoder = hq.embedding_encoder
            self.embedding_maskfeature = hq.embedding_maskfeature

    def fuse_hq_features(self, *, image_embeddings: Tensor, interm_embeddings: Sequence[Tensor]) -> Tensor:
        """The HQ features of each image: final embedding and first interm embedding (SAM-HQ, global-local fusion).

        (B, C, h, w) and channels-last (B, h', w', C') float to (B, mask_dim, 4h, 4w) float. They depend on the image
        alone, so they are computed once per frame, not once per decoder call.
        """
        early = interm_embeddings[0].permute(0, 3, 1, 2)
        fused: Tensor = self.embedding_encoder(image_embeddings) + self.compress_vit_feat(early)
        return fused

    def _tokens(self, prompts: Tensor) -> Tensor:
        """Output tokens, then prompts (B, N, C): (B, tokens + N, C)."""
        b, _, _ = prompts.shape
        # In the order of the published decoders: IoU, four masks, HQ. `forward` finds them by their place.
        output_tokens = [self.iou_token.weight, self.mask_tokens.weight]
        if self.has_hq:
            output_tokens.append(self.hf_token.weight)
        return torch.cat([torch.cat(output_tokens).expand(b, -1, -1), prompts], dim=1)

    def _masks(self, mask_tokens: Tensor, mask_features: Tensor) -> Tensor:
        """Logits (B, 4, L, L') of mask tokens (B, 4, C) on mask features (B, mask_dim, L, L')."""
        # Each token has a perceptron of its own, which turns it into weights of the mask features' channels
        weights = [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        return torch.einsum("bkc,bchw->bkhw", torch.stack(weights, dim=1), mask_features)

    def _hq_masks(self, hq_token: Tensor, mask_features: Tensor, hq_features: Tensor | HQView) -> Tensor:
        """The HQ-Output token (B, C) on the adapted mask features and on the HQ features, on the grid of the latter.

        The token meets their sum in SAM-HQ; its product with each of the two is the same and needs no common grid.
        """
        # The product is linear in the features: one map of one channel is resized, not mask_dim channels
        weights: Tensor = self.hf_mlp(hq_token)
        of_mask = token_product(weights, self.embedding_maskfeature(mask_features))
        if isinstance(hq_features, Tensor):
            of_image = token_product(weights, hq_features)
        else:
            of_image = hq_features.product(weights)
        return _onto(of_mask, of_image) + of_image

    def forward(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        interm_embeddings: Sequence[Tensor] | None = None,
        hq_features: Tensor | HQView | None = None,
        skips: Sequence[Tensor] | None = None,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> DecoderOutput:
        """Decode B prompt sets on one image, or on B images.

        `image_embeddings` (1 or B, C, h, w), `image_pe` (1, C, h, w), prompts (B, N, C) and (B, C, h, w). The HQ
        masks come from `hq_features` (1 or B, mask_dim, 4h, 4w, or a whole number of times as fine; or a view of them),
        or are fused here from `interm_embeddings`; without either, or without HQ modules, there are none. `skips` go to
        the upscaling. Everything the decoder computes comes back; `select_masks` chooses.
        """
        # HQ features, if the caller did not fuse them already
        b, _, _ = sparse_prompt_embeddings.shape
        _, c, h, w = image_embeddings.shape
        if self.has_hq and hq_features is None and interm_embeddings is not None:
            hq_features = self.fuse_hq_features(image_embeddings=image_embeddings, interm_embeddings=interm_embeddings)

        # Tokens and image update each other; the mask prompt is added to the image, the others are tokens
        hidden, image = self.transformer(
            image_embedding=image_embeddings + dense_prompt_embeddings,
            image_pe=image_pe.expand(b, -1, -1, -1),
            point_embedding=self._tokens(sparse_prompt_embeddings),
            attn_sim=attn_sim,
            target_embedding=target_embedding,
        )
        iou_token, mask_tokens = hidden[:, 0], hidden[:, 1 : 1 + self.num_mask_tokens]

        # A mask is the product of a token's weights and the mask features
        mask_features = self.output_upscaling.upscale(image.transpose(1, 2).reshape(b, c, h, w), skips)
        masks = self._masks(mask_tokens, mask_features)

        # The HQ mask is returned beside the others, not added to any yet
        hq_masks = None
        if self.has_hq and hq_features is not None:
            hq_masks = self._hq_masks(hidden[:, 1 + self.num_mask_tokens], mask_features, hq_features)
        return DecoderOutput(
            masks=masks,
            iou_predictions=self.iou_prediction_head(iou_token),
            hq_masks=hq_masks,
            presence=None if self.presence_head is None else self.presence_head(iou_token)[:, 0],
        )


def select_masks(
    output: DecoderOutput, *, multimask_output: bool, hq_token_only: bool = False
) -> tuple[Tensor, Tensor]:
    """Choose among the decoder's masks as the published predictors do: (B, N, L, L') logits and (B, N) IoU.

    A plain output gives SAM's masks 1 to 3 (N = 3), or its mask 0 (N = 1). An output with HQ masks gives N = 1: the
    best of masks 1 to 3 by predicted IoU, or mask 0, plus the HQ mask; with `hq_token_only` the HQ mask alone
    (SAM-HQ, section 3.2). The IoU is always that of SAM's mask: the IoU head never saw the HQ mask.
    """
    # Mask 0 was trained for prompts that mean one thing, masks 1 to 3 for ambiguous ones (SAM, section 3)
    if multimask_output:
        masks, iou = output.masks[:, 1:], output.iou_predictions[:, 1:]
    else:
        masks, iou = output.masks[:, :1], output.iou_predictions[:, :1]
    if output.hq_masks is None:
        return masks, iou

    # The HQ mask corrects one mask, so the best one is chosen first
    best = iou.argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    iou = iou[rows, best][:, None]
    if hq_token_only:
        return output.hq_masks, iou
    return corrected_masks(masks[rows, best][:, None], output.hq_masks), iou


def weighted_mask(output: DecoderOutput, weights: Tensor, *, hq_token_only: bool = False) -> tuple[Tensor, Tensor]:
    """SAM's masks 1 to 3 weighed into one (PerSAM-F), plus the HQ mask if any: logits (B, 1, L, L') and IoU (B, 1).

    weights: (3,) or (B, 3) float. The HQ mask is added once, after the three are weighed. The IoU is that of the mask
    with the largest weight: the IoU head never saw the sum.
    """
    # The IoU head rated each of the three masks, and never a sum of them
    scales, b = output.masks[:, 1:], len(output.masks)
    weights = weights.to(scales).expand(b, -1)
    rows = torch.arange(b, device=scales.device)
    iou = output.iou_predictions[:, 1:][rows, weights.argmax(dim=1)][:, None]
    if output.hq_masks is not None and hq_token_only:
        return output.hq_masks, iou
    weighed = weigh_masks(scales, weights)
    return weighed if output.hq_masks is None else corrected_masks(weighed, output.hq_masks), iou


def stability(masks: Tensor, *, threshold: float = 0.0, offset: float = 1.0, empty: float = 0.0) -> Tensor:
    """Stability of each mask of logits (B, L, L'): the IoU, (B,), of cuts `offset` above and below `threshold`.

    A mask that hardly changes is likely to be right (Segment Anything, section 5, which also takes an offset of 1).
    `empty` is the score of a mask of which both cuts are empty.
    """
    # The higher cut lies within the lower one, so it is their intersection
    inner, outer = ((masks > cut).flatten(1).sum(dim=1) for cut in (threshold + offset, threshold - offset))
    return (inner / outer).masked_fill(outer == 0, empty)


def token_product(weights: Tensor, features: Tensor) -> Tensor:
    """A token's weights (B, C) times features (1 or B, C, h, w): a map (B, 1, h, w) float."""
    # A matrix product rather than a convolution whose kernel differs per row of the batch
    _, c, h, w = features.shape
    return (weights[:, None] @ features.reshape(-1, c, h * w)).reshape(-1, 1, h, w)


def corrected_masks(masks: Tensor, hq_masks: Tensor) -> Tensor:
    """SAM's logits (B, N, L, L') plus those of the HQ mask (B, 1, sL, sL'): (B, N, sL, sL') (SAM-HQ, section 3.2)."""
    return _onto(masks, hq_masks) + hq_masks


def _onto(x: Tensor, finer: Tensor) -> Tensor:
    """(B, C, L, L') resized bilinearly to the grid of `finer`, if it is another."""
    # Even to the same size, interpolation would cost time and round
    if x.shape[-2:] == finer.shape[-2:]:
        return x
    return F.interpolate(x, size=finer.shape[-2:], mode="bilinear", align_corners=False)


def sam_hq_modules(*, transformer_dim: int, vit_dim: int) -> HQModules:
    """The HQ branch as SAM-HQ publishes it, for interm embeddings of width `vit_dim` at the grid of the embedding."""
    # SAM's mask features have an eighth of the transformer's width
    mask_dim = transformer_dim // 8

    def two_upscalings(input_dim: int, hidden_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.ConvTranspose2d(input_dim, hidden_dim, kernel_size=2, stride=2),
            LayerNorm2d(hidden_dim),
            nn.GELU(),
            nn.ConvTranspose2d(hidden_dim, mask_dim, kernel_size=2, stride=2),
        )

    # The plain encoder's interm embedding has the image embedding's grid, so both are upscaled four times
    return HQModules(
        compress_vit_feat=two_upscalings(vit_dim, transformer_dim),
        embedding_encoder=two_upscalings(transformer_dim, transformer_dim // 4),
        embedding_maskfeature=nn.Sequential(
            nn.Conv2d(mask_dim, transformer_dim // 4, kernel_size=3, padding=1),
            LayerNorm2d(transformer_dim // 4),
            nn.GELU(),
            nn.Conv2d(transformer_dim // 4, mask_dim, kernel_size=3, padding=1),
        ),
    )
