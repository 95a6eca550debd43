"""Image encoder of Segment Anything: a plain vision transformer with window attention and a few global blocks (ViTDet).

Grids are channels last, (B, h, w, C), between the patch embedding and the neck.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from persam_hq.errors import ShapeError
from persam_hq.modeling.common import LayerNorm2d, MLPBlock


class ImageEncoderViT(nn.Module):
    """An image to its embedding, and the interm embeddings after every global block (SAM, appendix A; SAM-HQ)."""

    def __init__(
        self,
        *,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        out_chans: int,
        window_size: int,
        global_attn_indexes: Collection[int],
    ) -> None:
        super().__init__()
        self.img_size = img_size
        grid = img_size // patch_size

        self.patch_embed = PatchEmbed(patch_size=patch_size, embed_dim=embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, embed_dim))
        # A block without a window size attends over the whole grid
        self.blocks = nn.ModuleList(
            Block(
                dim=embed_dim,
                num_heads=num_heads,
                grid_size=grid,
                window_size=None if index in global_attn_indexes else window_size,
            )
            for index in range(depth)
        )
        self.global_attn_indexes = frozenset(global_attn_indexes)
        self.neck = neck(embed_dim, out_chans)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, S, S) float, normalised RGB, to the image embedding and the interm embeddings.

        They are (B, out_chans, s, s), s = S / patch_size, and (B, s, s, embed_dim) per global block.
        """
        check_square(x, self.img_size)

        # SAM-HQ takes the output of each global block; its HQ features use the first, which keeps most detail
        x = self.patch_embed(x) + self.pos_embed
        interm_embeddings = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.global_attn_indexes:
                interm_embeddings.append(x)
        return self.neck(x.permute(0, 3, 1, 2)), tuple(interm_embeddings)


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens, by one strided convolution."""

    def __init__(self, *, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, h, w, C)."""
        patches: Tensor = self.proj(x)
        return patches.permute(0, 2, 3, 1)


class Block(nn.Module):
    """A transformer block that attends within windows, or over the whole grid where `window_size` is None."""

    def __init__(self, *, dim: int, num_heads: int, grid_size: int, window_size: int | None) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim=dim, num_heads=num_heads, input_size=window_size or grid_size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(embedding_dim=dim, mlp_dim=4 * dim, act=nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to the same shape."""
        _, h, w, _ = x.shape
        # Attention, within windows or over all cells
        normed = self.norm1(x)
        if self.window_size is None:
            attended = self.attn(normed)
        else:
            windows = self.attn(window_partition(normed, self.window_size))
            attended = window_unpartition(windows, window_size=self.window_size, size=(h, w))

        # Both halves are added to what they read
        x = x + attended
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Attention(nn.Module):
    """Multi-head self-attention with decomposed relative positions (MViTv2, section 4.1)."""

    def __init__(self, *, dim: int, num_heads: int, input_size: int) -> None:
        super().__init__()
        head_dim = dim // num_heads
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        # One embedding per distance between two rows, or two columns, of a grid this long
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * input_size - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * input_size - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to the same shape."""
        b, h, w, c = x.shape
        qkv = self.qkv(x).reshape(b, h * w, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, h*w, head_dim) each

        # SDPA scales q k^T alone, as the published code does: the positional term is added unscaled
        bias = decomposed_rel_pos(q, rel_pos_h=self.rel_pos_h, rel_pos_w=self.rel_pos_w, size=(h, w))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(b, h, w, c))
        return out


def decomposed_rel_pos(q: Tensor, *, rel_pos_h: Tensor, rel_pos_w: Tensor, size: tuple[int, int]) -> Tensor:
    """The positional bias of each query towards each key, a row's term plus a column's (MViTv2, section 4.1).

    q: (B, heads, h*w, d); rel_pos_h: (2h-1, d); rel_pos_w: (2w-1, d); returns (B, heads, h*w, h*w).
    """
    b, heads, n, d = q.shape
    h, w = size
    # The terms depend on the query: its product with the embedding of the distance
    queries = q.reshape(b, heads, h, w, d)
    rows = torch.einsum("bnhwd,hkd->bnhwk", queries, relative_table(rel_pos_h, h))
    columns = torch.einsum("bnhwd,wkd->bnhwk", queries, relative_table(rel_pos_w, w))
    return (rows[..., :, None] + columns[..., None, :]).reshape(b, heads, n, n)


def relative_table(rel_pos: Tensor, size: int) -> Tensor:
    """(2*size-1, d) embeddings by distance to (size, size, d) by query and key position."""
    position = torch.arange(size, device=rel_pos.device)
    # Distances run from -(size - 1), row 0 of the table, to size - 1
    return rel_pos[position[:, None] - position[None, :] + size - 1]


def window_partition(x: Tensor, window_size: int) -> Tensor:
    """(B, h, w, C) to (B * windows, window_size, window_size, C), zeros below and to the right where needed."""
    b, h, w, c = x.shape
    # The published model pads after its norm, so padded tokens are zeros that are attended to; weights rely on it
    padded = F.pad(x, (0, 0, 0, -w % window_size, 0, -h % window_size))
    _, padded_h, padded_w, _ = padded.shape
    tiles = padded.reshape(b, padded_h // window_size, window_size, padded_w // window_size, window_size, c)
    return tiles.transpose(2, 3).reshape(-1, window_size, window_size, c)


def window_unpartition(windows: Tensor, *, window_size: int, size: tuple[int, int]) -> Tensor:
    """The way back from `window_partition`: (B * windows, window_size, window_size, C) to (B, h, w, C)."""
    h, w = size
    # Windows per column and row of the padded grid, rounded up; the padding is cut off at the end
    rows, columns = -(-h // window_size), -(-w // window_size)
    tiles = windows.reshape(-1, rows, columns, window_size, window_size, windows.shape[-1])
    whole = tiles.transpose(2, 3).reshape(-1, rows * window_size, columns * window_size, windows.shape[-1])
    return whole[:, :h, :w]


def neck(in_chans: int, out_chans: int) -> nn.Sequential:
    """Tokens' width to the width of the image embedding, (B, in_chans, h, w) to (B, out_chans, h, w)."""
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, kernel_size=1, bias=False),
        LayerNorm2d(out_chans),
        nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(out_chans),
    )


def check_square(x: Tensor, img_size: int) -> None:
    """Raise ShapeError unless x is (B, 3, img_size, img_size)."""
    if x.ndim != 4 or tuple(x.shape[1:]) != (3, img_size, img_size):
        raise ShapeError(f"the image encoder takes (B, 3, {img_size}, {img_size}), got {tuple(x.shape)}; pad the image")
