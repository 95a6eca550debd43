"""Mask decoders with the published constructors and calls, which give the masks that they select."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from persam_hq.compat.modeling.arguments import refuse_others
from persam_hq.errors import InputError
from persam_hq.modeling import mask_decoder
from persam_hq.modeling.mask_decoder import HQModules, HQView, SamUpscaling, select_masks
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.types import DecoderOutput

__all__ = ["MaskDecoder", "MaskDecoderHQ"]


class MaskDecoder(mask_decoder.MaskDecoder):
    """SAM's decoder; see `persam_hq.modeling.mask_decoder`."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: TwoWayTransformer,
        num_multimask_outputs: int = 3,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        hq: HQModules | None = None,
    ) -> None:
        refuse_others("the mask decoder", activation=(activation, nn.GELU))
        super().__init__(
            transformer=transformer,
            transformer_dim=transformer_dim,
            output_upscaling=SamUpscaling(transformer_dim),
            mask_dim=transformer_dim // 8,  # what the upscaling leaves
            num_multimask_outputs=num_multimask_outputs,
            iou_head_depth=iou_head_depth,
            iou_head_hidden_dim=iou_head_hidden_dim,
            hq=hq,
        )

    def forward(  # type: ignore[override]  # noqa: PLR0917 - the published signature
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool | None = None,  # noqa: FBT001 - as published
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as published
        interm_embeddings: Sequence[Tensor] | Tensor | None = None,
        *,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
        hq_features: Tensor | HQView | None = None,
        skips: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor] | DecoderOutput:
        """Selected masks (B, N, 4h, 4w) and their predicted IoU (B, N), as the published decoders give them.

        Without `multimask_output`, which those require, everything comes back, as from this package's own decoder.
        """
        output: DecoderOutput = super().forward(
            image_embeddings=image_embeddings,
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse_prompt_embeddings,
            dense_prompt_embeddings=dense_prompt_embeddings,
            interm_embeddings=interm_embeddings,  # type: ignore[arg-type]  # stacked ones are indexed in the same way
            hq_features=hq_features,
            skips=skips,
            attn_sim=attn_sim,
            target_embedding=target_embedding,
        )
        if multimask_output is None:
            return output
        if hq_token_only and output.hq_masks is None:
            raise InputError(
                "hq_token_only asks for the HQ mask; it takes a decoder with HQ parts and its interm_embeddings"
            )
        return select_masks(output, multimask_output=multimask_output, hq_token_only=hq_token_only)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        hq_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All masks (B, 4 or 5, 4h, 4w), an HQ mask last, and the predicted IoU (B, 4) of the others."""
        output = super().forward(
            image_embeddings=image_embeddings,
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse_prompt_embeddings,
            dense_prompt_embeddings=dense_prompt_embeddings,
            hq_features=hq_features,
        )
        masks = output.masks if output.hq_masks is None else torch.cat([output.masks, output.hq_masks], dim=1)
        return masks, output.iou_predictions


class MaskDecoderHQ(MaskDecoder):
    """SAM-HQ's decoder, for an encoder whose interm embeddings have `vit_dim` channels."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: TwoWayTransformer,
        num_multimask_outputs: int = 3,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
        vit_dim: int = 1024,
    ) -> None:
        super().__init__(
            transformer_dim=transformer_dim,
            transformer=transformer,
            num_multimask_outputs=num_multimask_outputs,
            activation=activation,
            iou_head_depth=iou_head_depth,
            iou_head_hidden_dim=iou_head_hidden_dim,
            hq=mask_decoder.sam_hq_modules(transformer_dim=transformer_dim, vit_dim=vit_dim),
        )
