"""The check of prompts before the mask decoder sees them: the number of points, and that all numbers are finite."""

from __future__ import annotations

from typing import Final

import torch

from persam_hq.types import PromptSet

__all__ = ["MAX_POINTS", "prompt_fault"]

MAX_POINTS: Final = 1000
"""Points of one object on one frame. The decoder compares each with the image's 4,096 cells in 8 heads, 131 KB in
float32 and several times over, so this many take about half a gigabyte per object; strategies use tens at most."""


def prompt_fault(prompts: PromptSet) -> str | None:
    """What is wrong with the prompts of an object, None where nothing is."""
    if len(prompts.points) > MAX_POINTS:
        return f"{len(prompts.points)} points, expected at most {MAX_POINTS} per object"
    parts = {
        "points": prompts.points,
        "labels": prompts.labels,
        "box": prompts.box,
        "mask_input": prompts.mask_input,
    }
    for name, values in parts.items():
        if values is not None and not bool(torch.isfinite(values).all()):
            return f"{name} that are not finite numbers; expected pixels of the frame"
    return None
