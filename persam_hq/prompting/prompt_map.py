"""A prompt set on the encoder's input frame, as tokens and as a soft mask that is drawn into windows.

Lite's decoder takes a prompt twice: as SAM's tokens, and drawn into the dense location prior where a tracker would give
the last mask. Tokens alone are too little for it: boxes gave an IoU of 0.12 so (BSDS), drawn and refined 0.66.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.modeling.lite.prompt_maps import box_shapes, point_shapes
from persam_hq.modeling.lite.window import resample_window
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.transforms import boxes_to_input, points_to_input
from persam_hq.types import ImageGeometry, PromptSet


@dataclass(frozen=True, slots=True, eq=False)
class PromptMap:
    """One object's prompts in pixels of the encoder's input.

    points: (N, 2) float with labels (N,), 1 foreground and 0 background; box: (4,) float or None; mask: (1, 1, H, W)
    probabilities over the padded input, or None; radius: of a point's disk, in window sides.
    """

    points: Tensor
    labels: Tensor
    box: Tensor | None
    mask: Tensor | None
    radius: float

    @classmethod
    def from_prompts(
        cls, prompts: PromptSet, geometry: ImageGeometry, *, radius: float, device: torch.device
    ) -> PromptMap:
        """The prompts of an image of this geometry; a mask prompt is logits over its padded input."""
        if prompts.box is None and prompts.mask_input is None and not bool((prompts.labels == 1).any()):
            raise InputError("lite got no foreground point, box or mask; give at least one of them")

        # Low-resolution logits cover the padded input, so a mask prompt is resized to all of it
        mask = prompts.mask_input
        if mask is not None:
            mask = F.interpolate(mask[None].to(device), size=geometry.padded, mode="bilinear", align_corners=False)
        return cls(
            points=points_to_input(prompts.points, geometry).to(device),
            labels=prompts.labels.to(device),
            box=None if prompts.box is None else boxes_to_input(prompts.box, geometry).to(device),
            mask=None if mask is None else torch.sigmoid(mask),
            radius=radius,
        )

    def __repr__(self) -> str:
        return f"PromptMap(points={len(self.points)}, box={self.box is not None}, mask={self.mask is not None})"

    @property
    def foreground(self) -> Tensor:
        """The foreground points, (N', 2)."""
        return self.points[self.labels == 1]

    def tokens(self, b: int) -> PromptBatch:
        """Points and box for the prompt encoder, once for each of `b` windows; the mask is only drawn."""
        points = None
        if len(self.points):
            points = (self.points.expand(b, -1, -1), self.labels.expand(b, -1))
        return PromptBatch(points=points, boxes=None if self.box is None else self.box.expand(b, -1))

    def render(self, windows: Tensor, *, grid: int) -> Tensor:
        """The prompt as a soft mask (B, 1, grid, grid) float in [0, 1], seen through `windows` (B, 4) of input pixels.

        It is the mask prompt, or else the filled box, with a disk at each foreground point.
        """
        # A mask knows the object better than a box does, points are added to either
        b, _ = windows.shape
        shapes = windows.new_zeros(b, 1, grid, grid)
        if self.mask is not None:
            shapes = resample_window(self.mask, windows, grid=grid, stride=1).clamp(0, 1)
        elif self.box is not None:
            shapes = box_shapes(self.box.expand(b, -1), windows, grid=grid)
        if len(self.foreground):
            shapes = torch.maximum(shapes, self._disks(self.foreground, windows, grid=grid))
        return self.restrict(shapes, windows)

    def restrict(self, shapes: Tensor, windows: Tensor) -> Tensor:
        """Soft masks (B, 1, g, g) in `windows` (B, 4), zeroed outside of the box and at the background points."""
        # Later passes are held to the prompt in the same way as its first drawing
        b, _, grid, _ = shapes.shape
        background = self.points[self.labels == 0]
        if self.box is not None:
            shapes = shapes * box_shapes(self.box.expand(b, -1), windows, grid=grid)
        if len(background):
            shapes = shapes * (1 - self._disks(background, windows, grid=grid))
        return shapes

    def _disks(self, points: Tensor, windows: Tensor, *, grid: int) -> Tensor:
        """Disks (B, 1, grid, grid) in [0, 1] at points (N, 2), whatever their labels."""
        b, _ = windows.shape
        ones = points.new_ones(b, len(points))
        return point_shapes(points.expand(b, -1, -1), ones, windows, grid=grid, radius=self.radius)
