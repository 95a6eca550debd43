"""What lite's memory holds of a frame, and whether the next one goes on from it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.lite.efficientnet import KEY_STRIDE
from persam_hq.modeling.lite.matching import directions
from persam_hq.modeling.lite.window import cell_positions, resample_window
from persam_hq.segmenter.base import Decoded, Memory
from persam_hq.segmenter.lite.reference import matching_keys
from persam_hq.types import ImageFeatures

__all__ = ["remembered_keys", "restored_logits", "stored_logits", "sure", "was_cut"]

_LOGIT_STEP = 1 / 8
"""Steps of a remembered logit, which so fits a byte as far as +-15.9."""
_CONFIDENT = 0.7
"""Presence times predicted IoU from which a result is learnt from."""
_CUT_GRID = 12
"""Cells a side of a window that are compared with the last frame, to see whether there was a cut."""
_CONTINUOUS = 0.7
"""Mean similarity to the last frame's nearest cells below which there was a cut between the two."""


def stored_logits(logits: Tensor) -> Tensor:
    """Logits as int8."""
    return torch.round(logits / _LOGIT_STEP).clamp(-127, 127).to(torch.int8)


def restored_logits(stored: Tensor) -> Tensor:
    """Logits, float32, from `stored_logits`."""
    return stored.float() * _LOGIT_STEP


def remembered_keys(features: ImageFeatures, windows: Tensor, *, grid: int) -> Tensor:
    """Keys as later frames are matched against them, seen through `windows` (K, 4): (K, C, grid, grid), unit length."""
    return F.normalize(resample_window(matching_keys(features), windows, grid=grid, stride=KEY_STRIDE), dim=1)


def sure(decoded: Decoded) -> Tensor:
    """Which results are learnt from if their objects are there, (K,) bool, on the CPU."""
    return (decoded.presence * decoded.prediction.scores).cpu() > _CONFIDENT


def was_cut(features: ImageFeatures, windows: Tensor, memory: Memory) -> Tensor:
    """Whether nothing in `windows` (K, 4) is as it was around each object on the last frame: (K,) bool."""
    assert memory.keys is not None
    now = _keys_at(matching_keys(features), cell_positions(windows, grid=_CUT_GRID))
    before = directions(memory.keys.to(now.device), dim=1).flatten(2)
    return (now @ before).amax(dim=2).mean(dim=1) < _CONTINUOUS


def _keys_at(keys: Tensor, positions: Tensor) -> Tensor:
    """The keys (1, C, h, w) nearest to positions (B, N, 2), (x, y) in pixels: (B, N, C) float32, unit length."""
    _, _, height, width = keys.shape
    cells = (positions / KEY_STRIDE).long()
    x, y = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
    nearest = keys[0].permute(1, 2, 0)[y, x].float()
    return F.normalize(nearest, dim=2)
