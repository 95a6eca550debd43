"""Loss of PerSAM-F as a function of two weights, with its exact derivatives (PerSAM, section 3.4).

The three weights sum to 1, so two of them are free. `scale_weights` minimises this loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from persam_hq.errors import EmptyMaskError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Expansion", "ScaleProblem", "all_three", "scale_loss"]

CELL_WIDTH = 1 / 16
"""Side of the cells that pixels are gathered in, in units of asinh(logit): a logit near 0, a share of a large one."""
_ALPHA = 0.25
"""Weight of the object's pixels in the focal loss; those beside it have the rest (as PerSAM-F publishes it)."""


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """The loss at S places, (S,), with gradient (S, 2) and Hessian (S, 2, 2) in the two free weights."""

    loss: Tensor
    gradient: Tensor
    hessian: Tensor

    def __repr__(self) -> str:
        return f"Expansion(places={len(self.loss)})"


@dataclass(frozen=True, slots=True, eq=False)
class ScaleProblem:
    """Three masks' logits at M places of a reference image, and the reference mask there.

    first: (M,) float64 logits of the first mask; steps: (2, M), the second's and the third's minus the first's; truth:
    (M,), 1 on the object and 0 beside it; count: (M,), how many pixels a place stands for.
    """

    first: Tensor
    steps: Tensor
    truth: Tensor
    count: Tensor

    def __repr__(self) -> str:
        return f"ScaleProblem(places={len(self.first)})"

    @classmethod
    def of_pixels(cls, logits: Tensor, mask: Tensor) -> ScaleProblem:
        """Every pixel by itself: logits (3, H, W) float of the reference image and its mask (H, W) bool."""
        if logits.ndim != 3 or len(logits) != 3 or logits.shape[1:] != mask.shape:
            got = f"{tuple(logits.shape)}, {tuple(mask.shape)}"
            raise ShapeError(f"expected logits (3, H, W) and a mask (H, W), got {got}; weights are fitted to these")
        if not mask.any():
            raise EmptyMaskError("the reference mask is empty, so no weights fit it; mark the object's pixels in it")
        # Double precision: sums over millions of pixels decide between weights that differ little
        values = logits.detach().double().flatten(1)
        return cls(
            first=values[0],
            steps=values[1:] - values[:1],
            truth=mask.to(values.device).flatten().double(),
            count=torch.ones_like(values[0]),
        )

    def gathered(self, width: float = CELL_WIDTH) -> ScaleProblem:
        """Pixels with nearly equal logits as one place at their mean, which many weights are tried on quickly.

        The mean leaves an error of second order in `width`; what is far from 0 is saturated and gathered more coarsely.
        """
        # A place's cell in the space of three logits and the truth. asinh is linear near 0 and logarithmic far from it
        values = torch.stack([self.first, *(self.first + self.steps)])
        cells = torch.cat([(torch.asinh(values) / width).round().long(), self.truth.long()[None]])

        # One number per cell, as digits of a mixed radix, is quicker to sort than rows of four
        low, high = cells.amin(dim=1), cells.amax(dim=1)
        keys = torch.zeros_like(cells[0])
        for row, lowest, highest in zip(cells, low, high, strict=True):
            keys = keys * (highest - lowest + 1) + (row - lowest)

        # Each cell becomes one place: the mean of its members, standing for all their pixels
        _, place, members = torch.unique(keys, return_inverse=True, return_counts=True)
        count = torch.zeros_like(members, dtype=self.count.dtype).index_add(0, place, self.count)

        def mean(of: Tensor) -> Tensor:
            return torch.zeros_like(count).index_add(0, place, of * self.count) / count

        return ScaleProblem(
            first=mean(self.first),
            steps=torch.stack([mean(step) for step in self.steps]),
            truth=mean(self.truth),
            count=count,
        )

    def loss(self, free: Tensor) -> Tensor:
        """Dice and focal loss at S pairs of free weights (S, 2): (S,)."""
        # Dice adds 1 above and below, and focal takes gamma 2, as the published script has them
        logits = self._logits(free)
        inside, found, truth = self._overlap(torch.sigmoid(logits))
        signed = (2 * self.truth - 1) * logits
        focal = self._balance() * torch.sigmoid(-signed).square() * F.softplus(-signed)
        return 1 - (2 * inside + 1) / (found + truth + 1) + (focal @ self.count) / self.count.sum()

    def expand(self, free: Tensor) -> Expansion:
        """The loss at S pairs of free weights (S, 2), and its first two derivatives in closed form."""
        logits, sign = self._logits(free), 2 * self.truth - 1
        probability = torch.sigmoid(logits)

        # Focal loss a q^2 e per pixel, where q is the probability of the wrong answer and e the entropy
        q, e = torch.sigmoid(-sign * logits), F.softplus(-sign * logits)
        share = self._balance() * self.count / self.count.sum()
        focal = share * q * q * e
        focal_slope = -sign * share * q * q * (2 * (1 - q) * e + q)
        focal_curve = share * q * q * (1 - q) * (4 * (1 - q) * e - 2 * q * e + 5 * q)

        # Dice loss 1 - n / d, a quotient of sums over pixels: its derivatives by the quotient rule
        inside, found, truth = self._overlap(probability)
        slope = self.count * probability * (1 - probability)
        curve = slope * (1 - 2 * probability)
        n, d = 2 * inside + 1, (found + truth + 1)[:, None]
        ratio = n[:, None] / d
        n1, d1 = 2 * self._first_order(slope * self.truth), self._first_order(slope)
        n2, d2 = 2 * self._second_order(curve * self.truth), self._second_order(curve)
        r1 = (n1 - ratio * d1) / d
        cross = r1[:, :, None] * d1[:, None, :]
        r2 = (n2 - ratio[..., None] * d2 - cross - cross.transpose(1, 2)) / d[..., None]

        return Expansion(
            loss=1 - ratio[:, 0] + focal.sum(dim=1),
            gradient=self._first_order(focal_slope) - r1,
            hessian=self._second_order(focal_curve) - r2,
        )

    def _logits(self, free: Tensor) -> Tensor:
        """The weighted sum of the three masks, (S, M)."""
        return self.first + free @ self.steps

    def _overlap(self, probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels of object and result, of the result (S,), and of the object, the result counting as probability."""
        on_object = self.count * self.truth
        return probability @ on_object, probability @ self.count, on_object.sum()

    def _balance(self) -> Tensor:
        return _ALPHA * self.truth + (1 - _ALPHA) * (1 - self.truth)

    def _first_order(self, of: Tensor) -> Tensor:
        """Derivatives in the weights (S, 2) from those in the logits (S, M), by the chain rule."""
        return of @ self.steps.T

    def _second_order(self, of: Tensor) -> Tensor:
        """Second derivatives in the weights (S, 2, 2) from those in the logits (S, M); logits are linear in weights."""
        # The symmetric matrix from its three different entries
        second, third = self.steps
        pure2, mixed, pure3 = (of @ (torch.stack([second * second, second * third, third * third])).T).unbind(dim=1)
        return torch.stack([pure2, mixed, mixed, pure3], dim=1).reshape(-1, 2, 2)


def all_three(free: Tensor) -> Tensor:
    """The second and third weight (..., 2) with the first before them, (..., 3), so that they sum to 1."""
    return torch.cat([1 - free.sum(dim=-1, keepdim=True), free], dim=-1)


def scale_loss(logits: Tensor, mask: Tensor, weights: Tensor) -> float:
    """PerSAM-F's loss of weights (3,) on logits (3, H, W) and mask (H, W) bool: dice and focal, over every pixel."""
    problem = ScaleProblem.of_pixels(logits, mask)
    return float(problem.loss(weights[None, 1:].to(problem.first))[0])
