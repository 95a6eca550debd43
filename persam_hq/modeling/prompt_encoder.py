"""Prompt encoder of Segment Anything: points and boxes to tokens, masks to a dense embedding (SAM, section 3)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from persam_hq.modeling.common import LayerNorm2d

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = range(4)
"""The kinds of points that have an embedding of their own, in the order of the published weights."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Prompts of B objects that share a decoder call; a kind that is None is given for none of them.

    points: (B, N, 2) float, (x, y) pixels, with labels (B, N): 1 positive, 0 negative, -1 none; boxes: (B, 4) float
    x0, y0, x1, y1; masks: (B, 1, L, L') float logits.
    """

    points: tuple[Tensor, Tensor] | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None

    def to(self, device: torch.device) -> PromptBatch:
        """The same on `device`."""
        points = None if self.points is None else (self.points[0].to(device), self.points[1].to(device))
        boxes, masks = (None if t is None else t.to(device) for t in (self.boxes, self.masks))
        return PromptBatch(points=points, boxes=boxes, masks=masks)

    def __repr__(self) -> str:
        given = {"points": self.points and self.points[0], "boxes": self.boxes, "masks": self.masks}
        shapes = ", ".join(f"{name}={tuple(t.shape)}" for name, t in given.items() if t is not None)
        return f"PromptBatch({shapes})"


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of positions (SAM, appendix A; Tancik et al. 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        # Drawn once and saved with the weights: other draws would make all of them worthless
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def encode(self, coords: Tensor) -> Tensor:
        """(..., 2) float positions (x, y) in [0, 1] to (..., 2 * num_pos_feats) float in [-1, 1]."""
        angles = 2 * math.pi * ((2 * coords - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def forward(self, size: tuple[int, int]) -> Tensor:
        """The encoding of the cell centres of a grid of `size` (h, w): (C, h, w)."""
        h, w = size
        # Cell centres as shares of the grid, (x, y) last
        matrix = self.positional_encoding_gaussian_matrix
        y = (torch.arange(h, device=matrix.device, dtype=matrix.dtype) + 0.5) / h
        x = (torch.arange(w, device=matrix.device, dtype=matrix.dtype) + 0.5) / w
        grid = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return self.encode(grid).permute(2, 0, 1)


class PromptEncoder(nn.Module):
    """Sparse embeddings for points and boxes, dense ones for masks.

    `image_embedding_size` (h, w) is the decoder's grid and `input_image_size` (H, W) the frame, in pixels, that
    coordinates are given in; masks come at four times the grid.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_embedding_size = image_embedding_size
        self.input_image_size = input_image_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        # What a position is: negative or positive point, corner of a box; or no point at all, which is padding
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        # Two strides of 2 bring a mask of four times the grid onto it
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            nn.GELU(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            nn.GELU(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def resized(self, *, image_embedding_size: tuple[int, int], input_image_size: tuple[int, int]) -> PromptEncoder:
        """The same weights, shared, for another grid and frame: neither is a size of any weight."""
        other = copy.copy(self)
        other.image_embedding_size, other.input_image_size = image_embedding_size, input_image_size
        return other

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """(h, w) of a mask prompt: four times the image embedding's grid."""
        h, w = self.image_embedding_size
        return 4 * h, 4 * w

    def get_dense_pe(self) -> Tensor:
        """The positional encoding of the image embedding's grid, (1, C, h, w)."""
        encoding: Tensor = self.pe_layer(self.image_embedding_size)
        return encoding[None]

    def _encode_positions(self, coords: Tensor) -> Tensor:
        """(B, N, 2) pixels (x, y) of the input frame to (B, N, C)."""
        height, width = self.input_image_size
        size = torch.tensor([width, height], device=coords.device, dtype=coords.dtype)
        # Half a pixel: coordinates name pixels, encodings their centres
        return self.pe_layer.encode(((coords + 0.5) / size).to(self.no_mask_embed.weight.dtype))

    def _kind(self, kind: int) -> Tensor:
        """The embedding (1, C) of a kind of point."""
        embedding = self.point_embeddings[kind]
        assert isinstance(embedding, nn.Embedding)
        return embedding.weight

    def _embed_points(self, points: Tensor, labels: Tensor, *, pad: bool) -> Tensor:
        """Tokens (B, N, C) of points (B, N, 2) and labels (B, N), one more with `pad`."""
        b, _, _ = points.shape
        if pad:  # without a box, SAM closes the list of points with one that is none
            points = torch.cat([points, points.new_zeros(b, 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((b, 1), -1)], dim=1)

        # Position plus kind; padding has no position, its embedding is learnt
        embedding = self._encode_positions(points)
        kind = labels[..., None]
        embedding = torch.where(kind == -1, self.not_a_point_embed.weight, embedding)
        # torch.where keeps each point of a batch to its own label, without a loop over points
        for label in (NEGATIVE, POSITIVE):
            embedding = torch.where(kind == label, embedding + self._kind(label), embedding)
        return embedding

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        """Two tokens (B, 2, C) per box (B, 4), for its upper left and its lower right corner."""
        b, _ = boxes.shape
        corners = self._encode_positions(boxes.reshape(b, 2, 2))
        return corners + torch.cat([self._kind(TOP_LEFT), self._kind(BOTTOM_RIGHT)])

    def forward(
        self, *, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Embed prompts of B objects.

        `points` are positions (B, N, 2), (x, y) in pixels of the input frame, and labels (B, N): 1 positive,
        0 negative, -1 none (padding). `boxes` are (B, 4) as x0, y0, x1, y1; `masks` (B, 1, 4h, 4w) logits. Returns
        sparse (B, tokens, C) and dense (B, C, h, w) embeddings.
        """
        batch = next((len(t) for t in (points and points[0], boxes, masks) if t is not None), 1)
        h, w = self.image_embedding_size

        # Points come first, then boxes, as the published weights expect them
        sparse = self.no_mask_embed.weight.new_zeros(batch, 0, self.embed_dim)
        if points is not None:
            sparse = self._embed_points(points[0], points[1], pad=boxes is None)
        if boxes is not None:
            sparse = torch.cat([sparse, self._embed_boxes(boxes)], dim=1)

        # Without a mask each cell gets the same learnt embedding
        if masks is None:
            return sparse, self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(batch, -1, h, w)
        return sparse, self.mask_downscaling(masks)
