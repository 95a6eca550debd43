"""The reference of lite: what the first frame says of the objects, in tracking and in training alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE
from persam_hq.modeling.lite.image_encoder import IntermLevel, interm_map
from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, join_memories
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.lite.ridge import RidgeSums, add_ridge_sums, ridge_sums
from persam_hq.modeling.lite.window import resample_window
from persam_hq.segmenter.lite.config import SMALLEST_SHARE, LiteConfig
from persam_hq.segmenter.lite.windows import input_boxes, input_shares, reference_windows, whole_windows
from persam_hq.types import ImageFeatures

__all__ = ["LiteReference", "build_reference", "matching_keys", "reference_in_windows"]


@dataclass(frozen=True, slots=True, eq=False)
class LiteReference:
    """The reference of K objects: a matching memory, the sums of the ridge classifier, target embeddings (K, C).

    The keys of the memory are int8 (`direction_bytes`) where the reference travels, float where a gradient does.
    """

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

    def extended(
        self,
        *,
        examples: MatchMemory | None = None,
        sums: RidgeSums | None = None,
        weight: Tensor | None = None,
    ) -> LiteReference:
        """With later frames beside the first one: `examples` to match, `sums` that count `weight` (K,) times."""
        # The first frame stays as it is; matching looks at all of them alike, the classifier by their weights
        first, ridge = self.first, self.ridge
        if examples is not None:
            first = join_memories(first, examples)
        if sums is not None:
            weight = torch.ones_like(ridge.moment[:, 0]) if weight is None else weight
            ridge = add_ridge_sums(ridge, sums, weight=weight)
        return LiteReference(first=first, ridge=ridge, targets=self.targets)

    def __repr__(self) -> str:
        return f"LiteReference(first={self.first}, targets={tuple(self.targets.shape)})"


def build_reference(model: Lite, features: ImageFeatures, masks: Tensor, config: LiteConfig) -> LiteReference:
    """The reference of K objects from their masks (K, H, W) bool on the image that `features` are of."""
    # The cells nearly out of an object are no part of its target, but any object has one
    geometry = features.geometry
    reference = reference_in_windows(
        model,
        embedding=features.image_embedding,
        keys=matching_keys(features),
        share=input_shares(masks, geometry),
        windows=reference_windows(input_boxes(masks, geometry), geometry, config),
        whole=whole_windows(geometry, len(masks), device=masks.device),
        covered=partial(_covered_cells, least=config.target_share),
        with_maximum=config.target_maximum,
    )
    # Matching compares directions alone, so bytes of those are all that has to travel
    stored = replace(reference.first, keys=direction_bytes(reference.first.keys, dim=-1))
    return replace(reference, first=stored)


def reference_in_windows(
    model: Lite,
    *,
    embedding: Tensor,
    keys: Tensor,
    share: Tensor,
    windows: Tensor,
    whole: Tensor,
    covered: Callable[[Tensor], Tensor],
    with_maximum: bool = False,
) -> LiteReference:
    """The reference of K objects on an encoded image, differentiable; tracking and training both come here.

    `embedding` (1 or K, C, h, w) and `keys` (1 or K, C', h', w') are the encoder's, `share` (K, 1, H, W) float in
    [0, 1] is what each object covers of each input pixel. `windows` (K, 4) lie around the objects, `whole` (K, 4) over
    all of the image. `covered` says from the shares (K, 1, g, g) of the decoder's cells which of them make the target,
    1 or 0.
    `with_maximum`: the target is half mean and half maximum of the features there (PerSAM-F), instead of their mean.
    """
    sizes = model.geometry

    # What matching remembers: the surroundings finely, all of the frame coarsely
    near = model.window_memory(keys, share, windows, grid=sizes.first_grid)
    far = model.window_memory(keys, share, whole, grid=sizes.global_grid)
    first = join_memories(near, far)

    # The target embedding, over the cells that the mask covers
    cells = resample_window(embedding, windows, grid=sizes.grid, stride=EMBEDDING_STRIDE)
    inside = covered(resample_window(share, windows, grid=sizes.grid, stride=1))
    targets = (cells * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp(min=1)
    if with_maximum:
        highest = torch.where(inside > 0, cells, -torch.inf).amax(dim=(2, 3))
        targets = (targets + highest) / 2
    return LiteReference(first=first, ridge=ridge_sums(first), targets=targets)


def _covered_cells(share: Tensor, *, least: float) -> Tensor:
    """Cells whose share (K, 1, g, g) is `least` or more; of an object without such a cell, the one it covers most."""
    enough = torch.minimum(share.amax(dim=(2, 3), keepdim=True), share.new_tensor(least))
    return (share >= enough.clamp(min=SMALLEST_SHARE)).float()


def matching_keys(features: ImageFeatures) -> Tensor:
    """The matching keys of a frame, (1, C, h, w), in the encoder's dtype."""
    return interm_map(features.interm_embeddings, IntermLevel.KEYS)
