"""Lite's weights as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from persam_hq.checkpoint import write_safetensors


def save_lite(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Write all of lite's `weights`, float16, as `load_lite` reads them: whole or not at all."""
    half = {name: value.half() for name, value in weights.items()}
    write_safetensors(half, path, metadata={"model": "lite", "step": str(step), "format": "persam_hq.lite"})
