import numpy as np
import pytest
import torch

from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.window_jitter import jittered_windows, window_area


def chances(seed=0, batch=400):
    return StepRng(np.random.default_rng(seed), batch=batch)


def test_area():
    assert window_area(torch.tensor([[1.0, 2, 11, 7]])).tolist() == [50]


def test_windows_are_as_large_as_asked_and_keep_the_box_in_sight():
    boxes = torch.tensor([[110.0, 100, 170, 150]]).expand(400, 4)
    windows = jittered_windows(boxes, chances(), side=320, low=1.7, high=2.3)
    width, height = windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1]
    square = (width - height).abs() < 1e-3
    assert 0.5 < square.float().mean() < 0.7
    assert width[square].min() >= 1.7 * 60 - 1e-3
    assert width[square].max() <= 2.3 * 60 + 1e-3
    assert bool((windows[:, :2] < boxes[:, :2] + 12).all())
    assert bool((windows[:, 2:] > boxes[:, 2:] - 12).all())
    ratio = (width / height)[~square]
    assert ratio.min() < 0.7
    assert ratio.max() > 1.4


@pytest.mark.parametrize("side", [64, 256])
def test_windows_stay_near_the_crop_and_never_vanish(side):
    corners = torch.rand(400, 2, 2, generator=torch.Generator().manual_seed(0)) * side
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    windows = jittered_windows(boxes, chances(), side=side)
    extent = windows[:, 2:] - windows[:, :2]
    assert extent.min() >= 64 - 1e-3
    assert windows.min() >= -32
    assert windows.max() <= side + 32
    square = (extent[:, 0] - extent[:, 1]).abs() < 1e-3
    if side > 96:
        assert extent[square & (extent[:, 0] > 65)].min() >= 96 - 1e-3


def test_the_same_generator_gives_the_same_windows():
    boxes = torch.tensor([[10.0, 10, 40, 30]]).expand(400, 4)
    one, other = (jittered_windows(boxes, chances(3), side=128) for _ in range(2))
    assert torch.equal(one, other)
