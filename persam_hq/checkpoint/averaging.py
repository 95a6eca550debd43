"""Weighted mean of two weights files: keeps what a model could do before it was trained further.

Wortsman et al. 2022 (Robust fine-tuning of zero-shot models), equation 1.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from persam_hq.checkpoint import write_safetensors
from persam_hq.checkpoint.soundness import refuse_bad_values
from persam_hq.errors import CheckpointError, InputError

__all__ = ["average_weights"]


def average_weights(first: Path, second: Path, out: Path, *, share: float) -> None:
    """Write (1 - share) times the first file plus `share` times the second; both are safetensors with the same names.

    Dtypes and metadata are the second file's. `out` is written whole or not at all. Raises InputError or
    CheckpointError.
    """
    if not 0 <= share <= 1:
        raise InputError(f"got a share of {share}; expected 0 (the first file alone) to 1 (the second alone)")
    # Both files, and the second's metadata, which names the model
    try:
        old, new = load_file(first), load_file(second)
        with safe_open(second, framework="pt") as opened:
            metadata = opened.metadata()
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(f"cannot read {first} or {second} as safetensors: {exc}") from exc

    # Of one model: the same names and shapes
    shapes, others = ({name: tuple(value.shape) for name, value in weights.items()} for weights in (old, new))
    differing = sorted(name for name in shapes.keys() | others.keys() if shapes.get(name) != others.get(name))
    if differing:
        raise CheckpointError(f"{first} and {second} are not of the same model: {', '.join(differing[:3])} differ")

    refuse_bad_values(old, first)
    refuse_bad_values(new, second)

    # Averaged in float32, as files may be float16
    mean = {name: old[name].float().lerp(value.float(), share).to(value.dtype) for name, value in new.items()}
    write_safetensors(mean, out, metadata=metadata)
