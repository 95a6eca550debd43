import math

import numpy as np
import pytest
import torch

from persam_hq.modeling.lite.window import (
    OUTSIDE_LOGIT,
    cell_positions,
    move_window,
    paste_window,
    resample_window,
    triangle_weights,
    window_around,
)


def ramp(h, w, *, stride):
    """(1, 2, h, w): the x and the y pixel of each cell's centre."""
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack([x, y])[None] * stride


def wavy(h, w):
    y, x = torch.meshgrid(torch.arange(h) / 5, torch.arange(w) / 7, indexing="ij")
    return (torch.sin(x) + torch.cos(y))[None, None]


@pytest.mark.parametrize(("grid", "within"), [(4, 1e-3), (24, 1e-3), (9, 0.25)], ids=["coarser", "finer", "odd"])
def test_a_linear_ramp_is_read_at_the_cell_centres(grid, within):
    # Exact where a cell of the grid is a whole number of the map's cells or less than one of them
    windows = torch.tensor([[40.0, 24, 136, 120], [64, 32, 96, 64]])
    seen = resample_window(ramp(24, 32, stride=8), windows, grid=grid, stride=8)
    centres = cell_positions(windows, grid=grid).reshape(2, grid, grid, 2).permute(0, 3, 1, 2)
    assert torch.allclose(seen, centres, atol=within)


def test_cell_positions_go_along_the_rows():
    positions = cell_positions(torch.tensor([[10.0, 100, 30, 160]]), grid=2)
    assert positions.tolist() == [[[15, 115], [25, 115], [15, 145], [25, 145]]]


def test_each_object_looks_at_the_one_image_or_at_its_own():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    windows = torch.tensor([[0.0, 0, 32, 32], [16, 16, 64, 64]])
    own = resample_window(maps, windows, grid=5, stride=8)
    for index in range(2):
        shared = resample_window(maps[index : index + 1], windows, grid=5, stride=8)
        assert torch.allclose(own[index], shared[index], atol=1e-6)


def test_a_coarse_grid_averages_what_it_covers():
    # Columns that alternate are a frequency which a grid four times coarser cannot hold
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 1, 32, 32)
    seen = resample_window(stripes, torch.tensor([[0.0, 0, 32, 32]]), grid=8, stride=1)
    assert seen[..., 1:-1].abs().max() < 1e-6


@pytest.mark.parametrize("support", [0.5, 1.0, 2.7])
def test_triangle_weights_against_a_naive_loop(support):
    centres = [-0.4, 0.0, 2.3, 5.9]
    got = triangle_weights(torch.tensor([centres]), size=6, support=torch.tensor([support]))[0]
    for row, centre in zip(got.tolist(), centres, strict=True):
        reach = max(1.0, support)
        raw = [max(0.0, 1 - abs(cell - centre) / reach) for cell in range(6)]
        assert row == pytest.approx([value / sum(raw) for value in raw], abs=1e-6)


def test_what_lies_outside_the_map_is_zero():
    ones = torch.ones(1, 1, 4, 4)
    seen = resample_window(ones, torch.tensor([[-64.0, 0, 64, 32]]), grid=8, stride=8)
    assert torch.equal(seen[..., :3], torch.zeros(1, 1, 8, 3))
    assert torch.allclose(seen[..., 4:6], torch.ones(()))
    assert torch.equal(seen[..., 7:], torch.zeros(1, 1, 8, 1))


def test_the_result_has_the_dtype_of_the_windows():
    seen = resample_window(torch.ones(1, 1, 4, 4).bfloat16(), torch.tensor([[0.0, 0, 16, 16]]), grid=2, stride=4)
    assert seen.dtype == torch.float32


def test_a_window_at_pixel_size_is_pasted_back_exactly():
    image = wavy(40, 60)
    windows = torch.tensor([[8.0, 4, 40, 36], [20, 0, 52, 32]])
    seen = resample_window(image, windows, grid=32, stride=1)
    pasted = paste_window(seen, windows, size=(40, 60), scale=(1.0, 1.0))
    for row, (x0, y0, x1, y1) in enumerate(windows.int().tolist()):
        inside = torch.zeros(40, 60, dtype=torch.bool)
        inside[y0:y1, x0:x1] = True
        assert torch.allclose(pasted[row, 0][inside], image[0, 0][inside], atol=1e-5)
        assert bool((pasted[row, 0][~inside] == OUTSIDE_LOGIT).all())


def test_a_smooth_image_survives_a_finer_window_and_the_way_back():
    image = wavy(48, 48)
    window = torch.tensor([[5.5, 7.25, 41.5, 43.25]])
    pasted = paste_window(resample_window(image, window, grid=96, stride=1), window, size=(48, 48), scale=(1.0, 1.0))
    assert (pasted - image)[..., 9:42, 8:40].abs().max() < 0.02


def test_pasting_scales_from_the_input_to_the_image():
    window = torch.tensor([[0.0, 0, 32, 16]])  # input pixels; the image has half of them across, a quarter down
    logits = torch.arange(8.0).expand(8, 8)[None, None]
    pasted = paste_window(logits, window, size=(4, 16), scale=(4.0, 2.0))
    want = [min(max((2 * (x + 0.5)) / 4 - 0.5, 0), 7) for x in range(16)]
    assert pasted[0, 0, 2].tolist() == pytest.approx(want, abs=1e-5)


def test_moving_a_window_onto_itself_changes_nothing():
    values = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    windows = torch.tensor([[0.0, 0, 60, 60], [12.5, 30, 50, 41]])
    moved, covered = move_window(values, source=windows, destination=windows, grid=6)
    assert torch.allclose(moved, values, atol=1e-5)
    assert bool((covered == 1).all())


def test_moving_by_whole_cells_shifts_and_leaves_zeros():
    values = torch.arange(16.0).reshape(1, 1, 4, 4) + 1
    moved, covered = move_window(
        values, source=torch.tensor([[0.0, 0, 40, 40]]), destination=torch.tensor([[10.0, -20, 50, 20]]), grid=4
    )
    want = np.zeros((4, 4))
    want[2:, :3] = values[0, 0, :2, 1:].numpy()
    assert np.allclose(moved[0, 0].numpy(), want, atol=1e-5)
    assert np.array_equal(covered[0, 0].numpy(), want > 0)


@pytest.mark.parametrize(
    ("box", "want"),
    [
        pytest.param((40, 30, 60, 40), (30, 15, 70, 55), id="square around the longer side"),
        pytest.param((49, 34, 51, 36), (40, 25, 60, 45), id="never below the smallest side"),
        pytest.param((0, 0, 20, 20), (0, 0, 40, 40), id="pushed in from the upper left"),
        pytest.param((90, 70, 100, 80), (80, 60, 100, 80), id="pushed in from the lower right"),
        pytest.param((10, 10, 60, 20), (0, 0, 100, 80), id="cut where the frame is smaller"),
        pytest.param((-500, -500, 900, 900), (0, 0, 100, 80), id="a box beyond the frame"),
    ],
)
def test_windows_around_boxes(box, want):
    window = window_around(torch.tensor([box]).float(), factor=2.0, min_side=20.0, bounds=(80.0, 100.0))
    assert window[0].tolist() == pytest.approx(want)


def test_windows_stay_inside_the_frame():
    corners = torch.rand(200, 2, 2, generator=torch.Generator().manual_seed(2)) * 120 - 10
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    windows = window_around(boxes, factor=1.7, min_side=16.0, bounds=(70.0, 90.0))
    x0, y0, x1, y1 = windows.unbind(dim=1)
    assert x0.min() >= 0
    assert y0.min() >= 0
    assert x1.max() <= 90 + 1e-4
    assert y1.max() <= 70 + 1e-4
    assert (x1 - x0).min() >= 16 - 1e-4
    assert math.isclose(float((y1 - y0).max()), 70, rel_tol=1e-5)
