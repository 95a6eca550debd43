"""The memory of lite's tracker: what one frame leaves for the next, and whether the next one goes on from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.efficientnet import KEY_STRIDE
from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, directions
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.lite.window import cell_positions, resample_window
from persam_hq.segmenter.base import Decoded
from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.reference import matching_keys
from persam_hq.segmenter.lite.windows import input_boxes, input_shares, tracking_windows, updated_velocity
from persam_hq.transforms import soft_mask_logits
from persam_hq.types import ImageFeatures

__all__ = [
    "LiteMemory",
    "decode_logits",
    "encode_logits",
    "first_memory",
    "follows_a_cut",
    "keys_in_windows",
    "memory_after",
    "result_as_example",
]


@dataclass(frozen=True, slots=True, eq=False)
class LiteMemory:
    """The memory of K objects; see `persam_hq.segmenter.base.Memory`. In bytes where it is large.

    boxes: (K, 4) float32, inclusive, pixels of the original image; windows: (K, 4) float32, pixels of the encoder's
    input; logits: (K, 1, L, L) int8 (`encode_logits`) and keys: (K, C, g, g) int8 (`direction_bytes`), both through
    these windows; missing: (K,) int64, frames since the object was last seen; velocity: (K, 2) float32, pixels per
    frame that the box's middle moves; appearance: what was learned after the first frame.
    """

    boxes: Tensor
    logits: Tensor
    windows: Tensor
    keys: Tensor
    missing: Tensor
    velocity: Tensor
    appearance: Appearance

    def to(self, device: torch.device | str) -> LiteMemory:
        """The same on a device."""
        return LiteMemory(
            boxes=self.boxes.to(device),
            logits=self.logits.to(device),
            windows=self.windows.to(device),
            keys=self.keys.to(device),
            missing=self.missing.to(device),
            velocity=self.velocity.to(device),
            appearance=self.appearance.to(device),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [self.boxes, self.logits, self.windows, self.keys, self.missing, self.velocity]
        return self.appearance.nbytes + sum(t.numel() * t.element_size() for t in tensors)

    def __repr__(self) -> str:
        return f"LiteMemory(objects={len(self.boxes)}, bytes={self.nbytes})"


def first_memory(model: Lite, features: ImageFeatures, masks: Tensor, config: LiteConfig) -> LiteMemory:
    """The memory that the first frame leaves, from masks (K, H, W) bool: as if it had been tracked without a fault."""
    # The mask as logits in the window that the next frame starts from
    geometry, sizes = features.geometry, model.geometry
    boxes, _ = inclusive_boxes(masks)
    windows = tracking_windows(input_boxes(masks, geometry), geometry, config)
    share = resample_window(input_shares(masks, geometry), windows, grid=sizes.mask_grid, stride=1)
    logits = soft_mask_logits(share, peak=config.first_logit_peak)

    # The keys of the same window; nothing is learned yet
    keys = _remembered_keys(features, windows, grid=sizes.recent_grid)
    k, key_dim, _, _ = keys.shape
    return LiteMemory(
        boxes=boxes,
        logits=encode_logits(logits, config),
        windows=windows,
        keys=direction_bytes(keys, dim=1),
        missing=torch.zeros(k, dtype=torch.int64),
        velocity=torch.zeros(k, 2),
        appearance=Appearance.empty(k, cells=sizes.recent_grid**2, key_dim=key_dim, slots=config.appearance_slots),
    )


def memory_after(
    model: Lite,
    features: ImageFeatures,
    decoded: Decoded,
    memory: LiteMemory,
    *,
    windows: Tensor,
    boxes: Tensor,
    present: Tensor,
    learns: Tensor,
    config: LiteConfig,
) -> LiteMemory:
    """The memory after a frame that was decoded in `windows` (K, 4) and gave `boxes` (K, 4); on the CPU.

    Objects not `present` (K,) bool keep what was known of them, and are missing for one frame more. Appearance is
    learned of those with `learns` (K,) bool alone.
    """
    # What is remembered of this frame, and what is learned from it where it is certain
    boxes, logits = boxes.cpu(), decoded.prediction.low_res_logits[:, None]
    keys = _remembered_keys(features, windows, grid=model.geometry.recent_grid)
    found = result_as_example(model, keys, logits, windows)
    example = MatchMemory(keys=found.keys.cpu(), mask=found.mask.cpu(), positions=found.positions.cpu())
    # Nothing is learned from an object that has just come back, and its motion is not known
    was_there = present & (memory.missing == 0)
    confident = was_there & learns & _is_confident(decoded, config)

    row, cube = present[:, None], present[:, None, None, None]
    return LiteMemory(
        boxes=torch.where(row, boxes, memory.boxes),
        logits=torch.where(cube, encode_logits(logits.cpu(), config), memory.logits),
        windows=torch.where(row, windows.cpu(), memory.windows),
        keys=torch.where(cube, direction_bytes(keys, dim=1).cpu(), memory.keys),
        missing=torch.where(present, torch.zeros_like(memory.missing), memory.missing + 1),
        velocity=updated_velocity(memory.velocity, memory.boxes, boxes, was_there, config),
        appearance=memory.appearance.learn(example, confident, config),
    )


def result_as_example(model: Lite, keys: Tensor, logits: Tensor, windows: Tensor) -> MatchMemory:
    """A result as a matching memory of the objects; tracking and training both come here.

    `keys` (K, C, g, g) and `logits` (K, 1, L, L) were seen through `windows` (K, 4).
    """
    share = F.adaptive_avg_pool2d(torch.sigmoid(logits), keys.shape[-1])
    return model.match_memory(keys, share, windows)


def keys_in_windows(keys: Tensor, windows: Tensor, *, grid: int) -> Tensor:
    """Keys (1 or K, C, h, w) as later frames are matched against them, through `windows` (K, 4): (K, C, grid, grid)."""
    return resample_window(keys, windows, grid=grid, stride=KEY_STRIDE)


def _remembered_keys(features: ImageFeatures, windows: Tensor, *, grid: int) -> Tensor:
    """The keys of a frame in windows, unit length."""
    return F.normalize(keys_in_windows(matching_keys(features), windows, grid=grid), dim=1)


def encode_logits(logits: Tensor, config: LiteConfig) -> Tensor:
    """Logits as int8, in steps of `logit_step`; what is larger than a byte holds is cut."""
    largest = torch.iinfo(torch.int8).max
    return torch.round(logits / config.logit_step).clamp(-largest, largest).to(torch.int8)


def decode_logits(stored: Tensor, config: LiteConfig) -> Tensor:
    """Logits, float32, from `encode_logits`."""
    return stored.float() * config.logit_step


def _is_confident(decoded: Decoded, config: LiteConfig) -> Tensor:
    """Which results are learned from if their objects are there, (K,) bool, on the CPU."""
    return (decoded.presence * decoded.prediction.scores).cpu() > config.confident


def follows_a_cut(features: ImageFeatures, windows: Tensor, memory: LiteMemory, config: LiteConfig) -> Tensor:
    """Whether nothing in `windows` (K, 4) is as it was around each object on the last frame: (K,) bool."""
    # Each cell of the window against all that was seen around the object: the camera may have moved
    now = _nearest_keys(matching_keys(features), cell_positions(windows, grid=config.cut_grid))
    before = directions(memory.keys.to(now.device), dim=1).flatten(2)
    return (now @ before).amax(dim=2).mean(dim=1) < config.cut_similarity


def _nearest_keys(keys: Tensor, positions: Tensor) -> Tensor:
    """The keys (1, C, h, w) nearest to positions (K, N, 2), (x, y) in pixels: (K, N, C) float32, unit length."""
    # A look-up is enough to notice a cut, and much cheaper than resampling
    _, _, height, width = keys.shape
    cells = (positions / KEY_STRIDE).long()
    x, y = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
    nearest = keys[0].permute(1, 2, 0)[y, x].float()
    return F.normalize(nearest, dim=2)
