"""A linear model of the target on the cells of the encoder's features, kept as running sums; not a plugin itself.

Its input per cell are D+1 numbers: the cell's unit-length features, projected to D principal axes of the first frame,
and a 1. Foreground and background have the same weight, however large they are. All sums are float64, as they add up
over a whole video; torch computes them, so that the number of math threads is the run's.
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
"""In place of a sum of weights that is zero, as where no cell is foreground."""
_SMALLEST_VARIANCE = 1e-6
"""Of all features together; features of unit length that vary less are all the same."""
_SMALLEST_STEP = 1e-9
"""Largest change of a weight below which halving a Newton step further is of no use."""


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """A projection, float16: the mean feature (C,), and axes (C, D) scaled so that their products are about 1 long."""

    mean: Tensor
    axes: Tensor

    def inputs(self, features: Tensor) -> Tensor:
        """The inputs (N, D+1) float64 of a model for features (N, C)."""
        projected = (features - self.mean.double()) @ self.axes.double()
        return torch.cat([projected, projected.new_ones(len(features), 1)], dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Labelled cells: inputs (N, D+1), and each cell's weights as foreground (N,) and as background (N,), float64."""

    inputs: Tensor
    foreground: Tensor
    background: Tensor

    def reweighted(self, share: float) -> Cells:
        """The same cells with a share of their weights."""
        return Cells(self.inputs, share * self.foreground, share * self.background)


def unit_features(prior: LocationPrior) -> Tensor:
    """Features (h*w, C) float64 of unit length; ValueError where the prior has none."""
    if prior.embedding is None:
        raise ValueError("the location prior carries no features; expected those of the encoder, (C, h, w)")
    cells = prior.embedding.detach().cpu().double().flatten(1).T
    return F.normalize(cells, dim=1)


def cover(mask: Tensor, geometry: ImageGeometry, grid: Size) -> tuple[Tensor, Tensor]:
    """The shares of each cell that the mask (H, W) bool covers, and that are image: (h*w,) float64 each, 0 to 1."""
    # As the encoder sees the frame: resized, padded at the bottom and right, then averaged per cell
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

    # Eigenvectors of the covariance; `eigh` sorts their variances in rising order
    variances, axes = torch.linalg.eigh(centred.T @ (weights * centred))
    scale = variances.sum().clamp(min=_SMALLEST_VARIANCE).rsqrt()
    return Axes(mean=mean.half(), axes=(scale * axes.flip(1)[:, :count]).half())


def known_cells(inputs: Tensor, masked: Tensor, image: Tensor) -> Cells:
    """Cells with balanced weights: those of the foreground sum to 1, and so do those of the background."""
    unmasked = (image - masked).clamp(min=0)
    foreground, background = (share / share.sum().clamp(min=_TINY) for share in (masked, unmasked))
    return Cells(inputs, foreground, background)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The model as sums (D+1, D+1) and a vector (D+1,), float64.

    ridge: the sums of x x' and of x y, where y is 1 for foreground and -1 for background; logistic: the curvature of
    the loss at the weights, and the weights.
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
        """The model after another frame, which has the share `rate` of the weight of all frames."""
        cells = cells.reweighted(rate)
        if kind == "ridge":
            more = _ridge_sums(cells)
            return Model((1 - rate) * self.sums + more.sums, (1 - rate) * self.vector + more.vector)
        pull = rate * regularisation * torch.eye(len(self.vector), dtype=torch.float64)
        return _fit_logistic(cells, Model((1 - rate) * self.sums + pull, self.vector))

    def scores(self, kind: ModelKind, inputs: Tensor, *, regularisation: float) -> Tensor:
        """The scores (N,) of inputs (N, D+1), from about -1, background, to about 1, target."""
        if kind == "logistic":
            return torch.tanh(inputs @ self.vector / 2)
        identity = torch.eye(len(self.vector), dtype=torch.float64)
        weights: Tensor = torch.linalg.solve(self.sums + regularisation * identity, self.vector)
        return inputs @ weights


def _ridge_sums(cells: Cells) -> Model:
    """The sums of ridge regression over cells."""
    weighted = cells.inputs * (cells.foreground + cells.background)[:, None]
    return Model(weighted.T @ cells.inputs, cells.inputs.T @ (cells.foreground - cells.background))


def _fit_logistic(cells: Cells, believed: Model, *, steps: int = 12) -> Model:
    """Weighted logistic regression by at most `steps` Newton steps, each halved until it lowers the loss.

    `believed` is the prior: the weights, and the inverse of their covariance. With it frames are learnt from one after
    the other (Spiegelhalter and Lauritzen 1990, Laplace's approximation). Few steps are enough: they converge
    quadratically.
    """

    def loss(weights: Tensor) -> float:
        """Cross-entropy of the cells, and the prior's squared distance."""
        z, moved = cells.inputs @ weights, weights - believed.vector
        of_cells = cells.foreground @ F.softplus(-z) + cells.background @ F.softplus(z)
        return float(of_cells + moved @ believed.sums @ moved / 2)

    def curvature(weights: Tensor) -> Tensor:
        """The matrix of second derivatives of the loss."""
        probability = torch.sigmoid(cells.inputs @ weights)
        spread = (cells.foreground + cells.background) * probability * (1 - probability)
        return believed.sums + cells.inputs.T @ (spread[:, None] * cells.inputs)

    weights, lowest = believed.vector, loss(believed.vector)
    for _ in range(steps):
        # The Newton step: the gradient over the curvature
        z, moved = cells.inputs @ weights, weights - believed.vector
        residual = cells.background * torch.sigmoid(z) - cells.foreground * torch.sigmoid(-z)
        step = torch.linalg.solve(curvature(weights), cells.inputs.T @ residual + believed.sums @ moved)

        # Halved where it goes too far
        while loss(weights - step) > lowest and float(step.abs().max()) > _SMALLEST_STEP:
            step = step / 2
        reached = loss(weights - step)
        if reached >= lowest:
            break
        weights, lowest = weights - step, reached
    return Model(curvature(weights), weights)
