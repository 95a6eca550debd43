"""The prompt encoder with the published constructor and call."""

from __future__ import annotations

from torch import Tensor, nn

from persam_hq.compat.modeling.arguments import refuse_others
from persam_hq.modeling import prompt_encoder

__all__ = ["PromptEncoder"]


class PromptEncoder(prompt_encoder.PromptEncoder):
    """See `persam_hq.modeling.prompt_encoder`."""

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        refuse_others("the prompt encoder", activation=(activation, nn.GELU))
        super().__init__(
            embed_dim=embed_dim,
            image_embedding_size=image_embedding_size,
            input_image_size=input_image_size,
            mask_in_chans=mask_in_chans,
        )

    @property
    def num_point_embeddings(self) -> int:
        """How many kinds of points have an embedding: background, foreground and two corners of boxes."""
        return len(self.point_embeddings)

    def forward(  # by position too, as published
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sparse (B, tokens, C) and dense (B, C, h, w) embeddings of points, boxes (B, 4) or (B, 1, 4), and masks."""
        # Scripts pass a box per image as (B, 1, 4)
        flat = None if boxes is None else boxes.reshape(-1, 4)
        return super().forward(points=points, boxes=flat, masks=masks)
