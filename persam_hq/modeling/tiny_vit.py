"""Image encoder of MobileSAM and of SAM-HQ's smallest model: TinyViT-5M (TinyViT, section 3.3; MobileSAM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from persam_hq.modeling.image_encoder import check_square, neck, window_partition, window_unpartition


@dataclass(frozen=True, slots=True)
class StageSpec:
    """Sizes of one stage: width, number of blocks, and, with attention, the heads and the window.

    A stage with `num_heads` None is convolutional. `downsample_stride` is the stride of the merging layer that ends
    the stage (None: there is none).
    """

    dim: int
    depth: int
    num_heads: int | None
    window_size: int | None
    downsample_stride: int | None


class TinyViT(nn.Module):
    """A hybrid encoder: convolutions on the two finest scales, window attention on the coarser ones.

    The stride of the last stage but one is 1 (MobileSAM), so that the embedding keeps a sixteenth of the image's size.
    `num_classes` sizes the ImageNet head, which published checkpoints carry and segmentation never calls.
    """

    def __init__(self, *, img_size: int, stages: Sequence[StageSpec], out_chans: int, num_classes: int) -> None:
        super().__init__()
        self.img_size = img_size
        # Each stage ends with a merging layer towards the width of the next; the last has none
        next_dims = [stage.dim for stage in stages[1:]] + [None]

        self.patch_embed = PatchEmbed(stages[0].dim)
        self.layers = nn.ModuleList(
            TinyViTStage(stage, out_dim=out_dim) for stage, out_dim in zip(stages, next_dims, strict=True)
        )
        # For ImageNet's classes: in published files, never called
        self.norm_head = nn.LayerNorm(stages[-1].dim)
        self.head = nn.Linear(stages[-1].dim, num_classes)
        self.neck = neck(stages[-1].dim, out_chans)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, S, S) float, normalised RGB, to the image embedding and one interm embedding.

        They are (B, out_chans, s, s), s = S / 16, and (B, s, s, C), channels last as the plain encoder's are.
        """
        check_square(x, self.img_size)

        # SAM-HQ takes its early features after the second stage, whose grid has the embedding's size already
        x = self.patch_embed(x)
        first, second, *rest = self.layers
        early = second(first(x))
        x = early
        for stage in rest:
            x = stage(x)
        return self.neck(x), (early.permute(0, 2, 3, 1),)


class ConvBN(nn.Sequential):
    """A convolution without bias, then batch normalisation."""

    def __init__(self, in_chans: int, out_chans: int, *, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        # Named as in the published weights
        padding = kernel_size // 2
        self.c = nn.Conv2d(in_chans, out_chans, kernel_size, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_chans)


class PatchEmbed(nn.Module):
    """(B, 3, H, W) to (B, C, H/4, W/4) by two strided convolutions."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvBN(3, embed_dim // 2, kernel_size=3, stride=2),
            nn.GELU(),
            ConvBN(embed_dim // 2, embed_dim, kernel_size=3, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H/4, W/4)."""
        out: Tensor = self.seq(x)
        return out


class TinyViTStage(nn.Module):
    """One stage: the blocks of its scale, then the merging layer towards the next."""

    def __init__(self, spec: StageSpec, *, out_dim: int | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_block(spec) for _ in range(spec.depth))
        self.downsample: nn.Module | None = None
        if spec.downsample_stride is not None and out_dim is not None:
            self.downsample = PatchMerging(spec.dim, out_dim, stride=spec.downsample_stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, out_dim, h/stride, w/stride)."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class MBConv(nn.Module):
    """An inverted residual block of the first stage: widen by four, depthwise convolution, narrow (TinyViT)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 4 * dim
        self.conv1 = ConvBN(dim, hidden, kernel_size=1)
        self.conv2 = ConvBN(hidden, hidden, kernel_size=3, groups=hidden)
        self.conv3 = ConvBN(hidden, dim, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        # The activation follows the sum, not the branch
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(hidden))


class PatchMerging(nn.Module):
    """Towards the next scale: (B, C, h, w) to (B, out_dim, h/stride, w/stride)."""

    def __init__(self, dim: int, out_dim: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(dim, out_dim, kernel_size=1)
        self.conv2 = ConvBN(out_dim, out_dim, kernel_size=3, stride=stride, groups=out_dim)
        self.conv3 = ConvBN(out_dim, out_dim, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, out_dim, h/stride, w/stride)."""
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class TinyViTBlock(nn.Module):
    """Window attention, a local convolution, and an MLP."""

    def __init__(self, *, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = Attention(dim=dim, num_heads=num_heads, window_size=window_size)
        self.mlp = Mlp(dim)
        self.local_conv = ConvBN(dim, dim, kernel_size=3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        _, _, h, w = x.shape
        # Attention within windows, and a depthwise convolution that lets neighbouring windows know of each other
        windows = window_partition(x.permute(0, 2, 3, 1), self.window_size)
        attended = window_unpartition(self.attn(windows), window_size=self.window_size, size=(h, w))
        x = self.local_conv(x + attended.permute(0, 3, 1, 2))

        out: Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class Attention(nn.Module):
    """Self-attention within a window, with a learned bias for every distance (LeViT)."""

    attention_bias_idxs: Tensor

    def __init__(self, *, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window_size**2))
        self.register_buffer("attention_bias_idxs", distance_indices(window_size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, s, s, C) to the same shape."""
        b, h, w, c = x.shape
        # The heads are the outer axis: a head's query, key and value lie side by side
        qkv = self.qkv(self.norm(x)).reshape(b, h * w, self.num_heads, 3, c // self.num_heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)

        # (heads, s*s, s*s): the learned bias of each pair of cells, by their distance
        bias = self.attention_biases[:, self.attention_bias_idxs]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(b, h, w, c))
        return out


class Mlp(nn.Module):
    """Layer normalisation and a perceptron of four times the width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


def distance_indices(window_size: int) -> Tensor:
    """(s*s, s*s) int64: which learned bias a pair of cells uses, numbered by absolute row and column distance."""
    position = torch.arange(window_size, device="cpu")  # no weight, so it is real also on the meta device
    distance = (position[:, None] - position[None, :]).abs()
    rows, columns = distance[:, None, :, None], distance[None, :, None, :]
    # First met from the first cell on, row by row, so the number is row distance * s + column distance
    return (rows * window_size + columns).reshape(window_size**2, window_size**2)


def _block(spec: StageSpec) -> nn.Module:
    if spec.num_heads is None or spec.window_size is None:
        return MBConv(spec.dim)
    return TinyViTBlock(dim=spec.dim, num_heads=spec.num_heads, window_size=spec.window_size)
