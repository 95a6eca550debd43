"""Windows: a rectangle of the feature maps around each object, resampled to a grid of fixed size, and the way back.

A window is (x0, y0, x1, y1) in pixels of the encoder's input, x1 and y1 being the outer edges of its last pixels.
Resampling is separable, so it is two small matrix products per object.
"""

from __future__ import annotations

import torch
from torch import Tensor

from persam_hq.mask_boxes import outer_boxes

OUTSIDE_LOGIT = -20.0
"""The mask logit of a pixel that no window covers: background without doubt, as logits of masks end at about 10."""


def triangle_weights(centres: Tensor, *, size: int, support: Tensor) -> Tensor:
    """Interpolation weights (B, N, size) of `size` cells for sample positions `centres` (B, N), in cell indices.

    A triangle filter of half-width max(1, support) (B,): bilinear where the grid is finer than the cells, an
    antialiased average where it is coarser. A row sums to 1, or to 0 where no cell is within reach.
    """
    b, n = centres.shape
    # The divisor is small only where no cell is within reach, and the weights are all zero
    cells = torch.arange(size, device=centres.device, dtype=centres.dtype)
    reach = support.clamp(min=1).reshape(b, 1, 1)
    weights = (1 - (cells - centres.reshape(b, n, 1)).abs() / reach).clamp(min=0)
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)


def resample_window(features: Tensor, windows: Tensor, *, grid: int, stride: float) -> Tensor:
    """Look at feature maps through windows.

    `features` (1 or B, C, h, w) with cells of `stride` pixels; `windows` (B, 4). Returns (B, C, grid, grid) in the
    dtype of `windows`; zero more than a cell outside the map.
    """
    _, _, h, w = features.shape
    x0, y0, x1, y1 = windows.unbind(dim=1)

    # Only the part of the map that any window reaches is multiplied
    rows = _map_weights(y0, y1, grid=grid, size=h, stride=stride)
    columns = _map_weights(x0, x1, grid=grid, size=w, stride=stride)
    if features.device.type == "cpu":  # a GPU would wait for the bounds, and has no need of them
        top, bottom = _reached(rows)
        left, right = _reached(columns)
        features = features[..., top:bottom, left:right]
        rows, columns = rows[..., top:bottom], columns[..., left:right]
    # Channels-last maps are laid out anew once, instead of once per product and channel
    features = features.to(windows.dtype, memory_format=torch.contiguous_format)
    return rows[:, None] @ (features @ columns[:, None].transpose(-2, -1))


def paste_window(
    logits: Tensor,
    windows: Tensor,
    *,
    size: tuple[int, int],
    scale: tuple[float, float],
    outside: float = OUTSIDE_LOGIT,
) -> Tensor:
    """Put window logits back in place: (B, K, L, L) to (B, K, H, W), `outside` where no window is.

    `windows` (B, 4), `size` (H, W) of the image, `scale` (y, x) input pixels per image pixel. Bilinear where the image
    is finer than the logits.
    """
    _, _, l_h, l_w = logits.shape
    x0, y0, x1, y1 = windows.unbind(dim=1)

    # Each axis by itself: the weights of its cells for each pixel, and which pixels the window covers
    def axis(start: Tensor, stop: Tensor, *, pixels: int, factor: float, cells: int) -> tuple[Tensor, Tensor]:
        positions = (torch.arange(pixels, device=start.device, dtype=start.dtype) + 0.5) * factor
        return _window_weights(positions, start, stop, cells=cells, step=factor)

    rows, inside_y = axis(y0, y1, pixels=size[0], factor=scale[0], cells=l_h)
    columns, inside_x = axis(x0, x1, pixels=size[1], factor=scale[1], cells=l_w)
    pasted = rows[:, None] @ logits.to(windows.dtype) @ columns[:, None].transpose(-2, -1)
    inside = inside_y[:, None, :, None] * inside_x[:, None, None, :]
    return torch.where(inside > 0, pasted, torch.full_like(pasted, outside))


def move_window(values: Tensor, *, source: Tensor, destination: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Carry a grid seen through `source` windows over to `destination` windows.

    `values` (B, C, g, g); windows (B, 4) in the same pixels. Returns (B, C, grid, grid) and the coverage
    (B, 1, grid, grid): 1 where the source has something to say, else 0 (where the values are 0 too).
    """
    _, _, g, _ = values.shape

    # As in `paste_window`, with the destination's cells for pixels
    def axis(start: Tensor, stop: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        step = (stop - start) / grid
        positions = start[:, None] + _centres(grid, like=start) * step[:, None]
        return _window_weights(positions, low, high, cells=g, step=step)

    rows, inside_y = axis(destination[:, 1], destination[:, 3], source[:, 1], source[:, 3])
    columns, inside_x = axis(destination[:, 0], destination[:, 2], source[:, 0], source[:, 2])
    covered = inside_y[:, None, :, None] * inside_x[:, None, None, :]
    moved = rows[:, None] @ values.to(rows.dtype) @ columns[:, None].transpose(-2, -1)
    return covered * moved, covered


def window_around(boxes: Tensor, *, factor: float, min_side: float, bounds: tuple[float, float]) -> Tensor:
    """Square windows around boxes (B, 4), `factor` times their longer side, at least `min_side` pixels.

    A side longer than the frame (`bounds` height, width) is cut to it, and the window is pushed inside the frame, so
    that no part of the grid looks at nothing. Returns (B, 4).
    """
    height, width = bounds
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    side = (factor * torch.maximum(x1 - x0, y1 - y0)).clamp(min=min_side)

    def axis(low: Tensor, high: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        # Cut to the frame, centred on the box, then pushed inside
        length = side.clamp(max=limit)
        start = ((low + high - length) / 2).clamp(min=0)
        start = torch.minimum(start, limit - length)
        return start, start + length

    left, right = axis(x0, x1, float(width))
    top, bottom = axis(y0, y1, float(height))
    return torch.stack([left, top, right, bottom], dim=1)


def window_boxes(masks: Tensor, windows: Tensor) -> Tensor:
    """Boxes (B, 4) of masks (B, L, L), bool or above 0.5, seen through `windows` (B, 4): outer edges in pixels.

    An empty mask gives its whole window.
    """
    cell = (windows[:, 2:] - windows[:, :2]).repeat(1, 2) / masks.shape[-1]
    return windows[:, :2].repeat(1, 2) + outer_boxes(masks) * cell


def cell_positions(windows: Tensor, *, grid: int) -> Tensor:
    """Pixel positions (x, y) of the cell centres of `windows` (B, 4): (B, grid * grid, 2)."""
    b, _ = windows.shape
    index = _centres(grid, like=windows) / grid
    x = windows[:, 0:1] + index * (windows[:, 2:3] - windows[:, 0:1])
    y = windows[:, 1:2] + index * (windows[:, 3:4] - windows[:, 1:2])
    grid_x, grid_y = x[:, None].expand(b, grid, grid), y[:, :, None].expand(b, grid, grid)
    return torch.stack([grid_x, grid_y], dim=-1).reshape(b, grid * grid, 2)


def _centres(grid: int, *, like: Tensor) -> Tensor:
    """(grid,): 0.5, 1.5, ..."""
    return torch.arange(grid, device=like.device, dtype=like.dtype) + 0.5


def _map_weights(start: Tensor, stop: Tensor, *, grid: int, size: int, stride: float) -> Tensor:
    """One axis of a window (B,) over a map of `size` cells of `stride` pixels: (B, grid, size)."""
    step = (stop - start) / grid
    centres = (start[:, None] + _centres(grid, like=start) * step[:, None]) / stride - 0.5
    return triangle_weights(centres, size=size, support=step / stride)


def _reached(weights: Tensor) -> tuple[int, int]:
    """The first of the cells that weights (B, N, size) reach, and the one after the last; all where that is none."""
    cells = (weights > 0).any(dim=1).any(dim=0).nonzero()
    return (int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, weights.shape[-1])


def _window_weights(
    positions: Tensor, start: Tensor, stop: Tensor, *, cells: int, step: float | Tensor
) -> tuple[Tensor, Tensor]:
    """One axis of windows (B,) of `cells`, sampled at pixel `positions` (P,) or (B, P) that lie `step` pixels apart.

    Weights (B, P, cells), and 1 or 0 (B, P): whether a position lies in the window.
    """
    centres = (positions - start[:, None]) / (stop - start)[:, None] * cells
    inside = ((centres >= 0) & (centres <= cells)).to(start.dtype)
    return triangle_weights(centres - 0.5, size=cells, support=cells * step / (stop - start)), inside


def edges_touched(masks: Tensor, windows: Tensor, *, bounds: tuple[float, float], cells: int = 1) -> Tensor:
    """The share of each edge of their windows (B, 4) that masks (B, L, L) bool touch: left, top, right, bottom, (B, 4).

    The outermost `cells` are looked at. Edges on the border of the image, `bounds` high and wide, do not count.
    """
    height, width = bounds
    x0, y0, x1, y1 = windows.unbind(dim=1)
    # A window within a pixel of the border lies on it
    inner = torch.stack([x0 >= 1, y0 >= 1, x1 <= width - 1, y1 <= height - 1], dim=1)
    ends = [masks[:, :, :cells].any(dim=2), masks[:, :cells].any(dim=1)]
    ends += [masks[:, :, -cells:].any(dim=2), masks[:, -cells:].any(dim=1)]
    return torch.stack(ends, dim=1).float().mean(dim=2) * inner
