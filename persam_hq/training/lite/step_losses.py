"""The losses of a training step of lite: collected from everything that is decoded, with figures to log."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.training.losses import CellSampler, detail_weights, mask_iou, mask_loss, point_loss
from persam_hq.training.recipe import StepResult
from persam_hq.types import DecoderOutput


class StepLosses:
    """Collects the losses of everything that is decoded in a step; `rng` decides which points the HQ loss looks at.

    border, thin: how much more cells along borders and of thin parts count, see `detail_weights`.
    """

    def __init__(self, rng: np.random.Generator, *, border: float = 0.0, thin: float = 0.0) -> None:
        self._rng = rng
        self._border, self._thin = border, thin
        self._losses: list[Tensor] = []
        self._figures: dict[str, list[float]] = {}

    def add(self, name: str, loss: Tensor, *, weight: float) -> None:
        """A scalar loss, logged as it is and descended `weight` times."""
        self._losses.append(weight * loss)
        self._note(name, loss)

    def add_masks(
        self,
        name: str,
        output: DecoderOutput,
        truth: Tensor,
        *,
        present: Tensor,
        best_only: bool = False,
        presence: bool = True,
    ) -> None:
        """Everything the decoder said, against the share (B, 1, 2L, 2L) of each cell of the HQ mask's grid.

        `present` (B,) bool: whether the object is there. `best_only` where the prompt is ambiguous: the best of the
        three masks counts most, and the HQ mask corrects that one. `presence`: whether the presence head is taught.
        """
        # SAM's masks, on the coarser grid: the taught one, and of the three the best one
        finest, truth = truth, F.avg_pool2d(truth, 2)
        weights = detail_weights(truth, border=self._border, thin=self._thin)
        each = mask_loss(output.masks, truth, present=present, weights=weights)
        best, single = each[:, 1:].amin(dim=1), each[:, 0]
        # The other kind of mask counts for less, so that both stay usable. Shares here and below are chosen
        loss = (best + 0.3 * single if best_only else single + 0.5 * best).mean()

        # The IoU head learns what the masks are worth
        iou = mask_iou(output.masks, truth)
        loss = loss + F.mse_loss(output.iou_predictions, iou)
        self._note(f"iou_{name}", iou[present, 0].mean() if present.any() else 1.0)
        if output.hq_masks is not None:
            # The HQ mask learns to correct the mask as it is, on the finer grid
            rows = torch.arange(len(each), device=each.device)
            corrected = 1 + each[:, 1:].argmin(dim=1) if best_only else torch.zeros_like(rows)
            final = corrected_masks(output.masks.detach()[rows, corrected][:, None], output.hq_masks)
            loss = loss + point_loss(final, finest, CellSampler(self._rng), present=present).mean()
            if present.any():
                self._note(f"iou_{name}_hq", mask_iou(final, finest)[present].mean())
        if presence and output.presence is not None:
            # Whether the object is there, in the frames where that is asked
            loss = loss + 0.5 * F.binary_cross_entropy_with_logits(output.presence, present.float())
        self._losses.append(loss)

    def result(self, *, frames: int) -> StepResult:
        """The sum over everything that was decoded, per frame of the clip, and the mean of each figure."""
        loss = torch.stack(self._losses).sum() / frames
        figures = {name: float(np.nanmean(values)) for name, values in self._figures.items()}
        return StepResult(loss=loss, figures={"loss": float(loss.detach()), **figures})

    def _note(self, name: str, value: Tensor | float) -> None:
        self._figures.setdefault(name, []).append(float(value.detach() if isinstance(value, Tensor) else value))
