"""Scale weights of PerSAM-F: two weights, fitted on the reference image, mix SAM's three masks (PerSAM, section 3.4).

The decoder's output for the reference image does not depend on the weights, so it is computed once and only the weights
are fitted. `published` replays the published descent. `optimal` looks for the minimum of the same loss, within limits:
where the masks separate object and background without an error, the loss goes on falling as the weights grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from persam_hq.errors import InputError, ShapeError
from persam_hq.personalization.scale_loss import ScaleProblem, all_three

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScaleSolver", "Schedule", "fit_scale_weights", "weigh_masks"]

ScaleSolver = Literal["optimal", "published", "published_video"]

LOWEST, HIGHEST = -1.0, 2.0
"""Limits of the second and the third weight for `optimal`. The published descent, from a third on, cannot move either
by more than the sum of its steps, 0.5, so that all it can reach lies within."""
_GRID = 13
"""Places per axis at which the loss is tried for starts: steps of a quarter between the limits."""
_STARTS = 4
"""The deepest valleys of that grid that a search begins in, besides a third each."""
_TOLERANCE = 1e-7
"""Of the loss and its gradient: minima within it are the same."""
_GATHERING_ERROR = 1e-3
"""Of the loss on gathered pixels: minima that differ by less are compared on all pixels."""
_ROUNDS, _POLISHING_ROUNDS, _HALVINGS = 40, 6, 25
"""Limits of Newton's steps on gathered pixels, on all pixels, and of halvings per step."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A published descent: AdamW steps, with a cosine from the learning rate down to 0."""

    steps: int
    learning_rate: float


SCHEDULES = {
    "published": Schedule(steps=1000, learning_rate=1e-3),
    "published_video": Schedule(steps=800, learning_rate=4e-4),
}
"""PerSAM-F's script for images, and the one for videos."""


def weigh_masks(logits: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of three masks: (..., 3, H, W) and (..., 3) float to (..., 1, H, W) float."""
    return (logits * weights[..., None, None]).sum(dim=-3, keepdim=True)


def fit_scale_weights(
    logits: Tensor, mask: Tensor, *, solver: ScaleSolver = "optimal", schedule: Schedule | None = None
) -> Tensor:
    """Weights (3,) of the three masks that bring their sum closest to the reference mask; they sum to 1.

    logits: (3, H, W) float, SAM's three masks of the reference image at its size; mask: (H, W) bool. For K objects:
    (K, 3, H, W) and (K, H, W) to (K, 3). `schedule` replaces that of a published solver. Raises ShapeError or
    EmptyMaskError, and InputError for an unknown solver.
    """
    if solver != "optimal" and solver not in SCHEDULES:
        raise InputError(f"unknown solver {solver!r}; known: optimal, {', '.join(SCHEDULES)}")

    # Several objects: each by itself
    if logits.ndim == 4:
        if len(logits) != len(mask):
            raise ShapeError(f"got logits of {len(logits)} objects and masks of {len(mask)}; give one mask an object")
        fitted = [fit_scale_weights(*pair, solver=solver, schedule=schedule) for pair in zip(logits, mask, strict=True)]
        return torch.stack(fitted)

    # In double precision, by closed-form derivatives, so autograd has no part in it
    with torch.no_grad():
        problem = ScaleProblem.of_pixels(logits, mask)
        gathered = problem.gathered()
        descent = None if solver == "optimal" else schedule or SCHEDULES[solver]
        free = _minimum(problem, gathered) if descent is None else _descend(gathered, descent)
    return all_three(free).to(logits.dtype)


def _descend(problem: ScaleProblem, schedule: Schedule) -> Tensor:
    """The two free weights (2,) that the published descent ends at."""
    # The start, eps and weight decay (AdamW's default) of the published script
    free = torch.full((2,), 1 / 3, dtype=torch.float64, device=problem.first.device)
    optimizer = torch.optim.AdamW([free], lr=schedule.learning_rate, eps=1e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    for _ in range(schedule.steps):
        free.grad = problem.expand(free[None]).gradient[0]
        optimizer.step()
        cosine.step()
    return free.detach()


def _minimum(problem: ScaleProblem, gathered: ScaleProblem) -> Tensor:
    """The two free weights (2,) of the lowest minimum: the loss has several, so those near good starts are compared.

    Newton's steps are taken on gathered pixels first. From the minima that gathering cannot tell apart, they are taken
    to the end on all pixels.
    """
    # Quickly, on gathered pixels, from each start
    candidates = torch.stack([_newton(gathered, start, rounds=_ROUNDS) for start in _starts(gathered)])
    near = candidates[gathered.loss(candidates) <= gathered.loss(candidates).min() + _GATHERING_ERROR]

    # To the end, on all pixels, from each of those that are left
    different = [near[i] for i in range(len(near)) if not any(torch.dist(near[i], near[j]) < 1e-3 for j in range(i))]
    polished = torch.stack([_newton(problem, place, rounds=_POLISHING_ROUNDS) for place in different])
    losses = problem.loss(polished)
    return polished[int((losses > losses.min() + _TOLERANCE).byte().argmin())]  # among equals, from a third each


def _starts(problem: ScaleProblem) -> Tensor:
    """A third each, and the deepest places of a grid that are lower than their neighbours: (S, 2)."""
    # The loss on a grid between the limits, a row at a time to bound memory
    third = torch.full((1, 2), 1 / 3, dtype=torch.float64, device=problem.first.device)
    axis = torch.linspace(LOWEST, HIGHEST, _GRID, dtype=torch.float64, device=problem.first.device)
    places = torch.cartesian_prod(axis, axis)
    losses = torch.cat([problem.loss(some) for some in torch.split(places, _GRID)]).reshape(1, 1, _GRID, _GRID)

    # A valley is no higher than its eight neighbours
    around = -torch.nn.functional.max_pool2d(-losses, kernel_size=3, stride=1, padding=1)
    valleys = torch.where(losses == around, losses, torch.inf).flatten()
    lowest = valleys.topk(_STARTS, largest=False)
    return torch.cat([third, places[lowest.indices[lowest.values.isfinite()]]])


def _newton(problem: ScaleProblem, free: Tensor, *, rounds: int) -> Tensor:
    """From (2,) downhill to a minimum within the limits; the loss never rises."""
    for _ in range(rounds):
        here = problem.expand(free[None])
        gradient, hessian = here.gradient[0], here.hessian[0]

        # A weight at its limit that wants to go beyond stays there
        held = ((free <= LOWEST) & (gradient > 0)) | ((free >= HIGHEST) & (gradient < 0))
        gradient = torch.where(held, 0, gradient)
        if float(gradient.abs().max()) < _TOLERANCE:
            break
        hessian = torch.where(held[:, None] | held[None, :], torch.eye(2).to(hessian), hessian)

        shorter = _shorter(problem, free, _downhill(gradient, hessian), loss=float(here.loss[0]), gradient=gradient)
        if shorter is None:
            break
        free = shorter
    return free


def _downhill(gradient: Tensor, hessian: Tensor) -> Tensor:
    """Newton's step (2,), downhill also where the loss is not convex, and no longer than 1."""
    # Along a direction of negative curvature the step would lead uphill, so its sign is dropped
    curvature, directions = torch.linalg.eigh(hessian)
    curvature = curvature.abs().clamp(min=1e-9)
    step = -directions @ ((directions.T @ gradient) / curvature)
    bounded: Tensor = step / step.norm().clamp(min=1)
    return bounded


def _shorter(problem: ScaleProblem, free: Tensor, step: Tensor, *, loss: float, gradient: Tensor) -> Tensor | None:
    """The place (2,) that the step leads to, halved until the loss falls enough; None where it never does."""
    # Armijo's rule: at least 1e-4 of the fall that the gradient promises
    for _ in range(_HALVINGS):
        there = (free + step).clamp(LOWEST, HIGHEST)
        promised = 1e-4 * float(gradient @ (there - free))
        if float(problem.loss(there[None])[0]) < loss + promised:
            return there
        step = step / 2
    return None
