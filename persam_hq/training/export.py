"""Lite's weights as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_lite(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Write all of lite's `weights`, float16, as `load_lite` reads them: whole or not at all."""
    half = {name: value.half().contiguous() for name, value in weights.items()}
    part = path.with_name(path.name + ".part")
    save_file(half, part, metadata={"model": "lite", "step": str(step), "format": "persam_hq.lite"})
    part.replace(path)
