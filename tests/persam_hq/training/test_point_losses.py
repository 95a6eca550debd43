import math

import pytest
import torch
from stand_ins.training import sam_config

from persam_hq.training.data.rng import RowChances
from persam_hq.training.losses import point_mask_losses, sample_points, uncertain_points


def chances(rows=range(2)):
    return RowChances(seed=0, step=0, rows=rows, purpose=0)


def ellipse(side, radius):
    axis = torch.linspace(-1, 1, side)
    return (axis[:, None] ** 2 + axis**2 < radius**2).float()


def test_points_are_sampled_where_they_are():
    maps = torch.arange(16.0).reshape(1, 4, 4)
    points = torch.tensor([[[0.125, 0.125], [0.875, 0.125], [0.5, 0.5]]])  # (x, y): two cells' centres, the middle
    assert sample_points(maps, points).tolist() == [[0.0, 3.0, 7.5]]


def test_three_quarters_of_the_points_are_the_least_certain():
    logits = torch.linspace(-8, 8, 64).expand(1, 64, 64)  # zero in the middle column
    candidates = torch.rand(1, 300, 2, generator=torch.Generator().manual_seed(0))
    points = uncertain_points(logits, candidates, number=100)
    assert points.shape == (1, 100, 2)
    near, rest = points[0, :75], points[0, 75:]
    assert torch.equal(rest, candidates[0, :25])
    assert (near[:, 0] - 0.5).abs().max() <= (candidates[0, :, 0] - 0.5).abs().sort().values[74] + 1e-6


@pytest.mark.parametrize(("sign", "low", "high"), [(1, 0, 0.2), (-1, 6, 20)])
def test_the_loss_is_small_where_the_mask_is_right(sign, low, high):
    truth = torch.stack([ellipse(64, 0.5), ellipse(64, 0.8)])
    logits = sign * 20 * (torch.nn.functional.avg_pool2d(truth[:, None], 4) - 0.5)
    loss = point_mask_losses(logits, truth, chances(), number=500)
    assert loss.shape == (2, 1)
    assert bool(((loss >= low) & (loss <= high)).all())


def test_what_nothing_is_known_of_costs_a_bit_and_half():
    truth = ellipse(64, 0.8)[None]
    loss = point_mask_losses(torch.zeros(1, 1, 16, 16), truth, chances([0]), number=4000)
    share = float(truth.mean())
    dice = 1 - 2 * 0.5 * share / (0.5 + share)
    assert float(loss) == pytest.approx(math.log(2) + dice, abs=0.03)


def test_a_rows_loss_does_not_depend_on_other_rows():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, 16, 16, generator=generator)
    truth = torch.stack([ellipse(32, r) for r in (0.3, 0.6, 0.9)])
    whole = point_mask_losses(logits, truth, chances(range(3)), number=100)
    last = point_mask_losses(logits[2:], truth[2:], chances([2]), number=100)
    assert torch.allclose(whole[2:], last, atol=1e-6)


def test_as_many_points_as_sam_hq_uses_fit_the_configuration():
    assert sam_config(loss_points=112 * 112).loss_points == 12544
