"""Position embeddings of plain vision transformers, resized where a model is for images of another size."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

ABSOLUTE = "image_encoder.pos_embed"
RELATIVE = ("attn.rel_pos_h", "attn.rel_pos_w")


def fit_positions(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with position embeddings on the grid that `expected` has, where the file's is another.

    Absolute ones (1, g, g, C) are resized bicubically, relative ones (2g-1, d) of the global blocks linearly, as
    published variants of Segment Anything do. Those of blocks with windows depend on the window, and stay. What does
    not fit for another reason stays as well, for the caller to name.
    """
    # Only square grids of the same width can be resized
    fitted = dict(tensors)
    if ABSOLUTE not in tensors or ABSOLUTE not in expected:
        return fitted
    stored, wanted = tensors[ABSOLUTE], expected[ABSOLUTE]
    if stored.shape == wanted.shape or not _square(stored) or stored.shape[-1] != wanted.shape[-1]:
        return fitted

    # Global blocks are those whose relative table fits the grid
    fitted[ABSOLUTE] = _resized_absolute(stored, wanted.shape[1])
    lengths = (2 * stored.shape[1] - 1, 2 * wanted.shape[1] - 1)
    for key, value in tensors.items():
        if not key.endswith(RELATIVE) or key not in expected or value.ndim != 2:
            continue
        if (len(value), len(expected[key])) == lengths and value.shape[1] == expected[key].shape[1]:
            fitted[key] = _resized_relative(value, lengths[1])
    return fitted


def _square(position: Tensor) -> bool:
    return position.ndim == 4 and position.shape[1] == position.shape[2] > 0 and position.is_floating_point()


def _resized_absolute(position: Tensor, grid: int) -> Tensor:
    """(1, g, g, C) to (1, grid, grid, C) of the same dtype."""
    # In float32, since files may be float16 and bicubic sums lose digits there
    channels_first = position.float().permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first, size=(grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).to(position.dtype).contiguous()


def _resized_relative(position: Tensor, length: int) -> Tensor:
    """(L, d) to (length, d) of the same dtype."""
    resized = F.interpolate(position.float().T[None], size=length, mode="linear", align_corners=False)
    return resized[0].T.to(position.dtype).contiguous()
