"""What the first frame says of the objects that lite follows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE
from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, join_memories
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.lite.ridge import RidgeSums, ridge_sums
from persam_hq.modeling.lite.window import resample_window
from persam_hq.segmenter.lite.windows import WindowPolicy, input_boxes, input_shares, whole_windows
from persam_hq.types import ImageFeatures

__all__ = ["LiteReference", "matching_keys", "refer"]


@dataclass(frozen=True, slots=True, eq=False)
class LiteReference:
    """What the first frame says of K objects: matching memory (int8 keys), ridge sums, mean embeddings (K, C)."""

    first: MatchMemory
    ridge: RidgeSums
    targets: Tensor

    def to(self, device: torch.device | str) -> LiteReference:
        """The same on a device."""
        first, ridge = self.first, self.ridge
        return LiteReference(
            first=MatchMemory(
                keys=first.keys.to(device), mask=first.mask.to(device), positions=first.positions.to(device)
            ),
            ridge=RidgeSums(gram=ridge.gram.to(device), moment=ridge.moment.to(device)),
            targets=self.targets.to(device),
        )

    def __repr__(self) -> str:
        return f"LiteReference(first={self.first}, targets={tuple(self.targets.shape)})"


def refer(
    model: Lite, features: ImageFeatures, masks: Tensor, *, policy: WindowPolicy, with_maximum: bool = False
) -> LiteReference:
    """The reference of K objects from their masks (K, H, W) bool on the image that `features` are of.

    `with_maximum`: the target is half mean and half maximum of the features under the mask, as in PerSAM-F, instead of
    their mean.
    """
    geometry, sizes = features.geometry, model.geometry
    windows = policy.around(input_boxes(masks, geometry), geometry, factor=policy.reference_factor)
    placed = input_shares(masks, geometry)

    # What matching remembers: the surroundings finely, all of the frame coarsely
    keys = matching_keys(features)
    near = model.remember(keys, placed, windows, grid=sizes.first_grid)
    whole = whole_windows(geometry, len(masks), device=masks.device)
    far = model.remember(keys, placed, whole, grid=sizes.global_grid)
    first = join_memories(near, far)

    # The target, over the cells that the mask covers; one too small for the threshold has the cell it covers most
    seen = resample_window(features.image_embedding, windows, grid=sizes.grid, stride=EMBEDDING_STRIDE)
    inside = resample_window(placed, windows, grid=sizes.grid, stride=1)
    enough = torch.minimum(inside.amax(dim=(2, 3), keepdim=True), inside.new_tensor(0.25))
    weight = (inside >= enough.clamp(min=1e-6)).float()
    targets = (seen * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp(min=1)
    if with_maximum:
        highest = torch.where(weight > 0, seen, -torch.inf).amax(dim=(2, 3))
        targets = (targets + highest) / 2
    stored = replace(first, keys=direction_bytes(first.keys, dim=-1))
    return LiteReference(first=stored, ridge=ridge_sums(first), targets=targets)


def matching_keys(features: ImageFeatures) -> Tensor:
    """The matching keys of a frame, (1, C, h, w), in the encoder's dtype."""
    return features.interm_embeddings[2].permute(0, 3, 1, 2)
