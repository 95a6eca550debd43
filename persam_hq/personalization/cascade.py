"""Cascaded post-refinement: a first, guided pass and two that correct it (PerSAM, section 3.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from persam_hq.mask_boxes import inclusive_box

if TYPE_CHECKING:
    from torch import Tensor

    from persam_hq.types import Guidance, MaskPrediction, PromptSet

__all__ = ["Decode", "cascade", "refine", "refine_weighed"]


class Decode(Protocol):
    """The decoder, bound to a model and the features of an image."""

    def __call__(
        self, prompts: PromptSet, *, multimask_output: bool, guidance: Guidance | None = None
    ) -> MaskPrediction:
        """One decoder call; without `guidance` the decoder is plain."""
        ...


def cascade(
    decode: Decode, prompts: PromptSet, *, guidance: Guidance | None = None
) -> tuple[MaskPrediction, MaskPrediction, MaskPrediction]:
    """The three passes, of which the best mask of the last is the result. Only the first is guided, and single-masked.

    Low-resolution logits go from pass to pass, so the masks of later passes correct those of earlier ones.
    """
    # Later passes are plain, as published: they start from a mask
    first = decode(prompts, multimask_output=False, guidance=guidance)
    return first, *refine(decode, prompts, first.low_res_logits[:1])


def refine(decode: Decode, prompts: PromptSet, logits: Tensor) -> tuple[MaskPrediction, MaskPrediction]:
    """Two more passes over `logits` (1, L, L') of an earlier one: these as mask prompt, then the result and its box."""
    second = decode(replace(prompts, mask_input=logits), multimask_output=True)
    return second, _last_pass(decode, prompts, second)


def refine_weighed(decode: Decode, prompts: PromptSet, first: MaskPrediction) -> tuple[MaskPrediction, MaskPrediction]:
    """Two more passes over the weighed mask of `first` (PerSAM-F): each gets the last mask and its box."""
    # The published script boxes the weighed mask already, where PerSAM's gives its first mask without a box
    with_box = replace(prompts, box=inclusive_box(first.masks[0]), mask_input=first.low_res_logits[:1])
    second = decode(with_box, multimask_output=True)
    return second, _last_pass(decode, prompts, second)


def _last_pass(decode: Decode, prompts: PromptSet, second: MaskPrediction) -> MaskPrediction:
    """The third pass: the second's best mask as mask prompt, and its box; without a box where that mask is empty."""
    best = second.best
    box = inclusive_box(second.masks[best])
    with_box = replace(prompts, box=box, mask_input=second.low_res_logits[best : best + 1])
    return decode(with_box, multimask_output=True)
