"""A linear model of the target on the cells of the encoder's features, kept as running sums; no plugin.

It sees D+1 numbers of a cell: its unit-length features, projected to D principal axes of the first frame, and a 1.
Foreground and background weigh the same however large they are. All sums are float64; torch does them, so that the
number of math threads is the run's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.types import ImageGeometry, LocationPrior, Size

__all__ = ["Axes", "Cells", "Model", "ModelKind", "cover", "known_cells", "principal_axes", "unit_features"]

ModelKind = Literal["ridge", "logistic"]
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """A projection, float16: the mean feature (C,) and axes (C, D), scaled so that what they give is about 1 long."""

    mean: Tensor
    axes: Tensor

    def inputs(self, features: Tensor) -> Tensor:
        """What a model sees of features (N, C): (N, D+1) float64."""
        projected = (features - self.mean.double()) @ self.axes.double()
        return torch.cat([projected, projected.new_ones(len(features), 1)], dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells and what is known of them: inputs (N, D+1), weights as foreground (N,) and as background (N,), float64."""

    inputs: Tensor
    foreground: Tensor
    background: Tensor

    def lighter(self, share: float) -> Cells:
        """The same with a share of the weight."""
        return Cells(self.inputs, share * self.foreground, share * self.background)


def unit_features(prior: LocationPrior) -> Tensor:
    """Features (h*w, C) float64 of unit length; ValueError where the prior has none."""
    if prior.embedding is None:
        raise ValueError("the location prior carries no features; expected those of the encoder, (C, h, w)")
    cells = prior.embedding.detach().cpu().double().flatten(1).T
    return F.normalize(cells, dim=1)


def cover(mask: Tensor, geometry: ImageGeometry, grid: Size) -> tuple[Tensor, Tensor]:
    """How much of each cell the mask (H, W) bool covers, and how much of it is image: (h*w,) float64 each, 0 to 1."""
    height, width = geometry.input
    maps = torch.stack([mask.cpu().double(), torch.ones(geometry.original, dtype=torch.float64)])[:, None]
    resized = F.interpolate(maps, size=(height, width), mode="area")
    padded = F.pad(resized, (0, geometry.padded[1] - width, 0, geometry.padded[0] - height))
    masked, image = F.adaptive_avg_pool2d(padded, grid).flatten(1)
    return masked, image


def principal_axes(features: Tensor, image: Tensor, count: int) -> Axes:
    """The `count` directions, at most C, in which features (N, C) vary most; cells count as far as they are image."""
    weights = (image / image.sum())[:, None]
    mean = (weights * features).sum(dim=0)
    centred = features - mean
    variances, axes = torch.linalg.eigh(centred.T @ (weights * centred))
    scale = variances.sum().clamp(min=1e-6).rsqrt()
    return Axes(mean=mean.half(), axes=(scale * axes.flip(1)[:, :count]).half())


def known_cells(inputs: Tensor, masked: Tensor, image: Tensor) -> Cells:
    """Cells with balanced weights: those of the foreground sum to 1, and so do those of the background."""
    unmasked = (image - masked).clamp(min=0)
    foreground, background = (share / share.sum().clamp(min=_TINY) for share in (masked, unmasked))
    return Cells(inputs, foreground, background)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What was learnt: sums (D+1, D+1) and a vector (D+1,), float64.

    ridge: the sums of x x' and of x y, where y is 1 and -1; logistic: the curvature at the weights, and the weights.
    """

    sums: Tensor
    vector: Tensor

    @classmethod
    def fit(cls, kind: ModelKind, cells: Cells, *, regularisation: float) -> Model:
        """The model of the first frame."""
        if kind == "ridge":
            return _ridge_sums(cells)
        n = cells.inputs.shape[1]
        identity = torch.eye(n, dtype=torch.float64)
        return _fit_logistic(cells, Model(regularisation * identity, torch.zeros(n, dtype=torch.float64)))

    def updated(self, kind: ModelKind, cells: Cells, *, rate: float, regularisation: float) -> Model:
        """The model after another frame, which counts `rate` as much as everything together."""
        cells = cells.lighter(rate)
        if kind == "ridge":
            more = _ridge_sums(cells)
            return Model((1 - rate) * self.sums + more.sums, (1 - rate) * self.vector + more.vector)
        pull = rate * regularisation * torch.eye(len(self.vector), dtype=torch.float64)
        return _fit_logistic(cells, Model((1 - rate) * self.sums + pull, self.vector))

    def scores(self, kind: ModelKind, inputs: Tensor, *, regularisation: float) -> Tensor:
        """What it says of inputs (N, D+1): (N,) from about -1, background, to about 1, target."""
        if kind == "logistic":
            return torch.tanh(inputs @ self.vector / 2)
        identity = torch.eye(len(self.vector), dtype=torch.float64)
        weights: Tensor = torch.linalg.solve(self.sums + regularisation * identity, self.vector)
        return inputs @ weights


def _ridge_sums(cells: Cells) -> Model:
    weighted = cells.inputs * (cells.foreground + cells.background)[:, None]
    return Model(weighted.T @ cells.inputs, cells.inputs.T @ (cells.foreground - cells.background))


def _fit_logistic(cells: Cells, believed: Model, *, steps: int = 12) -> Model:
    """Weighted logistic regression by Newton steps, halved until none raises the loss.

    `believed`: the weights, and the inverse of their covariance; so frames are learnt from one after the other
    (Spiegelhalter and Lauritzen 1990, Laplace's approximation).
    """

    def loss(weights: Tensor) -> float:
        z, moved = cells.inputs @ weights, weights - believed.vector
        of_cells = cells.foreground @ F.softplus(-z) + cells.background @ F.softplus(z)
        return float(of_cells + moved @ believed.sums @ moved / 2)

    def curvature(weights: Tensor) -> Tensor:
        probability = torch.sigmoid(cells.inputs @ weights)
        spread = (cells.foreground + cells.background) * probability * (1 - probability)
        return believed.sums + cells.inputs.T @ (spread[:, None] * cells.inputs)

    weights, lowest = believed.vector, loss(believed.vector)
    for _ in range(steps):
        z, moved = cells.inputs @ weights, weights - believed.vector
        residual = cells.background * torch.sigmoid(z) - cells.foreground * torch.sigmoid(-z)
        step = torch.linalg.solve(curvature(weights), cells.inputs.T @ residual + believed.sums @ moved)
        while loss(weights - step) > lowest and float(step.abs().max()) > 1e-9:
            step = step / 2
        reached = loss(weights - step)
        if reached >= lowest:
            break
        weights, lowest = weights - step, reached
    return Model(curvature(weights), weights)
