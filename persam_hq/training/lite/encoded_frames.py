"""Encoded frames of a batch of training clips: the encoder runs once over all of them, the decoder often on each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from persam_hq.modeling.lite.image_encoder import IntermLevel, interm_map
from persam_hq.modeling.lite.model import Lite, WindowFeatures
from persam_hq.modeling.lite.window import resample_window
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.types import DecoderOutput, Guidance

FEWEST_PIXELS = 20
"""Pixels of an object up to which it counts as absent: a few are no more than the edge of what left. Chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """One frame of B clips: masks (B, S, S) float in {0, 1}, and the encoder's output for it in float32.

    hq: the HQ features (B, C'', S/4, S/4), or None; beside: (B, S, S), another object in sight, empty or None where
    there is none.
    """

    mask: Tensor
    embedding: Tensor
    interm: tuple[Tensor, ...]
    hq: Tensor | None
    beside: Tensor | None = None

    def __repr__(self) -> str:
        return f"EncodedFrame(mask={tuple(self.mask.shape)}, embedding={tuple(self.embedding.shape)})"

    @property
    def side(self) -> int:
        """Side of the crop in pixels; crops are square."""
        return self.mask.shape[-1]

    @property
    def whole(self) -> Tensor:
        """Windows (B, 4) over the whole crop."""
        corners = torch.tensor([0.0, 0.0, self.side, self.side], device=self.mask.device)
        return corners.expand(len(self.mask), 4)

    @property
    def keys(self) -> Tensor:
        """The matching keys, (B, K, h, w)."""
        return interm_map(self.interm, IntermLevel.KEYS)

    @property
    def present(self) -> Tensor:
        """Whether the object can be seen, (B,) bool."""
        return self.mask.flatten(1).sum(dim=1) > FEWEST_PIXELS

    def truth(self, windows: Tensor, *, grid: int) -> Tensor:
        """The share (B, 1, grid, grid) of each cell of `windows` (B, 4) that the object covers, softly."""
        return resample_window(self.mask[:, None], windows, grid=grid, stride=1).clamp(0, 1)

    def seen_by(self, model: Lite, windows: Tensor) -> WindowFeatures:
        """The frame through `windows` (B, 4)."""
        return model.through_windows(self.embedding, self.interm, windows, hq=self.hq)


def encode_clips(
    model: Lite, frames: Tensor, masks: Tensor, beside: Tensor | None = None, *, precision: torch.dtype = torch.float32
) -> tuple[EncodedFrame, ...]:
    """Frames (B, T, 3, S, S) float in [0, 255] and masks (B, T, S, S) float in {0, 1} to T encoded frames."""
    # All frames in one pass, in bfloat16 as far as autocast takes it
    b, t, _, _, _ = frames.shape
    with autocast(frames.device, precision):
        x = model.normalise(frames).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        embedding, interm, hq = model.encode(x)

    # What follows is float32: losses and matching are sensitive to rounding
    def of_frame(encoded: Tensor, k: int) -> Tensor:
        return encoded.float().reshape(b, t, *encoded.shape[1:])[:, k]

    return tuple(
        EncodedFrame(
            mask=masks[:, k],
            embedding=of_frame(embedding, k),
            interm=tuple(of_frame(i, k) for i in interm),
            hq=None if hq is None else of_frame(hq, k),
            beside=None if beside is None else beside[:, k],
        )
        for k in range(t)
    )


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Computation in `precision` as far as autocast takes it; float32 leaves all as it is."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision is not torch.float32)


def encode_stills(
    model: Lite, images: Tensor, masks: Tensor, *, precision: torch.dtype = torch.float32
) -> EncodedFrame:
    """Images (P, 3, S, S) float in [0, 255] and segments (P, N, S, S) float in {0, 1} to a frame of P * N rows."""
    # Each photo is encoded once; its segments share the features
    _, n, _, _ = masks.shape
    (frame,) = encode_clips(model, images[:, None], masks[:, :1], precision=precision)

    def per_segment(encoded: Tensor) -> Tensor:
        return encoded.repeat_interleave(n, dim=0)

    return EncodedFrame(
        mask=masks.flatten(0, 1),
        embedding=per_segment(frame.embedding),
        interm=tuple(per_segment(i) for i in frame.interm),
        hq=None if frame.hq is None else per_segment(frame.hq),
    )


def decode(
    model: Lite,
    seen: WindowFeatures,
    *,
    prior: Tensor,
    prompts: PromptBatch | None = None,
    guidance: Guidance | None = None,
    precision: torch.dtype = torch.float32,
) -> DecoderOutput:
    """`Lite.decode` in bfloat16 where that is the `precision`, its results in float32."""
    with autocast(prior.device, precision):
        output = model.decode(seen, prior=prior, prompts=prompts, guidance=guidance)
    return DecoderOutput(
        masks=output.masks.float(),
        iou_predictions=output.iou_predictions.float(),
        hq_masks=None if output.hq_masks is None else output.hq_masks.float(),
        presence=None if output.presence is None else output.presence.float(),
    )
