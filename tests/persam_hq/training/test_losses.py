import math

import numpy as np
import pytest
import torch
from stand_ins.training import sam_config

from persam_hq.training.data.rng import RowRng
from persam_hq.training.losses import (
    CellSampler,
    FrameSampler,
    detail_weights,
    mask_iou,
    mask_loss,
    point_loss,
    read_out_loss,
    sample_points,
    uncertain_points,
)


def grid(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def cell_loss(logits, target, *, present, rng, points):
    """The loss of lite's HQ mask: whole cells, the mean over the objects."""
    return point_loss(logits, target, CellSampler(rng, number=points), present=present).mean()


def test_mask_loss_by_hand():
    # Probabilities 0.5 and 0.75 against 1 and 0
    logits, target = grid(0.0, math.log(3)), grid(1.0, 0.0)
    entropy = (math.log(2) + math.log(4)) / 2
    dice = 1 - (2 * 0.5 + 1) / (1.25 + 1 + 1)
    there = mask_loss(logits, target, present=torch.tensor([True]))
    assert float(there) == pytest.approx(4 * entropy + dice, abs=1e-5)
    absent = mask_loss(logits, target, present=torch.tensor([False]))
    assert float(absent) == pytest.approx(4 * entropy, abs=1e-5)


def test_a_perfect_mask_costs_nothing():
    target = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    loss = mask_loss(60 * (target - 0.5), target, present=torch.tensor([True, True]))
    assert loss.abs().max() < 1e-5


def test_one_truth_serves_all_masks_of_an_object():
    logits = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 1, 5, 5)
    together = mask_loss(logits, target, present=torch.tensor([True, False]))
    assert together.shape == (2, 4)
    alone = mask_loss(logits[1:, 2:3], target[1:], present=torch.tensor([False]))
    assert torch.allclose(together[1, 2], alone[0, 0])


class Scripted:
    """A generator that draws what it is told to."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def integers(self, stop, *, size):
        drawn = np.array(self.draws.pop(0))
        assert drawn.shape == size
        assert drawn.max() < stop
        return drawn


def test_point_loss_looks_at_the_unsure_ones_of_its_candidates_and_at_random():
    logits = torch.tensor([5.0, -0.1, 4.0, 0.2, -3.0, 0.3, -6.0, 0.05, 2.0]).reshape(1, 1, 3, 3)
    target = torch.tensor([1.0, 0.3, 0.0, 0.9, 1.0, 0.0, 0.2, 0.7, 0.5]).reshape(1, 1, 3, 3)
    # Cell 7 is the least sure of all, but no candidate; of the twelve the three nearest to zero are 1, 3 and 5
    rng = Scripted([[0, 1, 2, 3, 4, 5, 6, 8, 0, 2, 4, 6]], [[6]])
    got = cell_loss(logits, target, present=torch.tensor([True]), rng=rng, points=4)
    seen = [1, 3, 5, 6]
    want = mask_loss(
        grid(*logits.flatten()[seen].tolist()), grid(*target.flatten()[seen].tolist()), present=torch.tensor([True])
    )
    assert float(got) == pytest.approx(float(want), abs=1e-6)
    assert rng.draws == []


def test_point_loss_is_the_mean_over_the_objects_and_absent_ones_have_no_dice():
    # Where all cells are alike it does not matter which are looked at
    logits = torch.tensor([0.4, -1.0]).reshape(2, 1, 1, 1).expand(2, 1, 6, 6)
    target = torch.tensor([0.9, 0.2]).reshape(2, 1, 1, 1).expand(2, 1, 6, 6)
    for present in ([True, True], [True, False], [False, False]):
        there = torch.tensor(present)
        got = cell_loss(logits, target, present=there, rng=np.random.default_rng(0), points=36)
        assert float(got) == pytest.approx(float(mask_loss(logits, target, present=there).mean()), abs=1e-6)


def unsure_strip():
    """Logits of a mask that is sure, and right, but for a row in its middle; and the truth."""
    target = torch.zeros(1, 1, 40, 40)
    target[..., 20:, :] = 1
    logits = 16 * target - 8
    logits[..., 19, :], logits[..., 20, :] = 0.5, -0.5
    return logits, target


def test_point_loss_dwells_on_the_border():
    logits, target = unsure_strip()
    present = torch.tensor([True])
    pointed = cell_loss(logits, target, present=present, rng=np.random.default_rng(0), points=200)
    assert pointed > 3 * mask_loss(logits, target, present=present).mean()
    sure = torch.where(logits.abs() > 1, logits, 16 * target - 8)
    assert cell_loss(sure, target, present=present, rng=np.random.default_rng(0), points=200) < 0.01


def test_point_loss_teaches_the_cells_it_looked_at():
    logits, target = unsure_strip()
    logits.requires_grad_()
    loss = cell_loss(logits, target, present=torch.tensor([True]), rng=np.random.default_rng(0), points=120)
    (gradient,) = torch.autograd.grad(loss, logits)
    touched = gradient != 0
    assert 30 < touched.sum() <= 120
    assert touched[..., 19:21, :].float().mean() > 3 * touched.float().mean()
    assert bool((gradient[..., 19, :] >= 0).all())
    assert bool((gradient[..., 20, :] <= 0).all())


def test_point_loss_depends_on_its_generator_alone():
    logits = torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    target = (logits > 0.3).float()

    def loss(seed):
        options = {"present": torch.tensor([True, True]), "rng": np.random.default_rng(seed), "points": 50}
        return float(cell_loss(logits, target, **options))

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)


@pytest.mark.parametrize(
    ("read", "target", "want"),
    [(1.0, 1.0, -math.log(0.99)), (-1.0, 1.0, -math.log(0.01)), (0.0, 0.5, math.log(2)), (0.6, 0.0, -math.log(0.2))],
)
def test_read_out_loss_by_hand(read, target, want):
    assert float(read_out_loss(torch.tensor([read]), torch.tensor([target]))) == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize(
    ("logits", "target", "want"),
    [
        ([1, 1, -1, -1], [1, 0, 1, 0], 1 / 3),
        ([1, 1, -1, -1], [1, 1, 0, 0], 1.0),
        ([1, -1, -1, -1], [0, 0.6, 0.4, 0], 0.0),
        ([-1, -1, -1, -1], [0, 0, 0.5, 0], 1.0),
    ],
)
def test_mask_iou_by_hand(logits, target, want):
    assert float(mask_iou(grid(*map(float, logits)), grid(*map(float, target)))) == pytest.approx(want)


def frame_loss(logits, truth, rows, *, number):
    """The loss of SAM-type masks: points anywhere in the frame, per row and mask."""
    sampler = FrameSampler(RowRng(seed=0, step=0, rows=rows, purpose=0), number=number)
    return point_loss(logits, truth, sampler, entropy_weight=1.0)


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
    loss = frame_loss(logits, truth, range(2), number=500)
    assert loss.shape == (2, 1)
    assert bool(((loss >= low) & (loss <= high)).all())


def test_what_nothing_is_known_of_costs_a_bit_and_half():
    truth = ellipse(64, 0.8)[None]
    loss = frame_loss(torch.zeros(1, 1, 16, 16), truth, [0], number=4000)
    share = float(truth.mean())
    dice = 1 - 2 * 0.5 * share / (0.5 + share)
    assert float(loss) == pytest.approx(math.log(2) + dice, abs=0.03)


def test_a_rows_loss_does_not_depend_on_other_rows():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, 16, 16, generator=generator)
    truth = torch.stack([ellipse(32, r) for r in (0.3, 0.6, 0.9)])
    whole = frame_loss(logits, truth, range(3), number=100)
    last = frame_loss(logits[2:], truth[2:], [2], number=100)
    assert torch.allclose(whole[2:], last, atol=1e-6)


def test_as_many_points_as_sam_hq_uses_fit_the_configuration():
    assert sam_config(loss_points=112 * 112).loss_points == 12544


def drawing(size=24):
    """A block with a line of one cell beside it."""
    target = torch.zeros(1, 1, size, size)
    target[..., 4:16, 4:16] = 1
    target[..., 2:22, 20] = 1
    return target


def test_cells_along_borders_and_of_what_is_thin_count_more():
    weights = detail_weights(drawing(), border=2.0, thin=3.0)[0, 0]
    assert weights[10, 10] == 1  # inside
    assert weights[22, 2] == 1  # outside
    assert weights[10, 4] == weights[10, 3] == 3  # on either side of the border
    assert weights[10, 20] == 1 + 2 + 3
    assert weights[10, 21] == 1 + 2 + 3  # beside the line, where it could be missed by a cell


@pytest.mark.parametrize(("border", "thin", "line"), [(2.0, 0.0, 3), (0.0, 3.0, 4)])
def test_each_weight_by_itself(border, thin, line):
    weights = detail_weights(drawing(), border=border, thin=thin)[0, 0]
    assert weights[10, 20] == line
    assert (weights[10, 4] > 1) == (border > 0)


def test_without_weights_all_cells_count_alike():
    assert detail_weights(drawing(), border=0.0, thin=0.0) is None
    logits, target = torch.randn(1, 2, 24, 24), drawing()
    ones = torch.ones(1, 1, 24, 24)
    assert torch.allclose(mask_loss(logits, target), mask_loss(logits, target, weights=ones), atol=1e-6)


def test_missing_what_is_thin_costs_more_than_missing_as_many_cells_inside():
    target = drawing()
    line, inside = target.clone(), target.clone()
    line[..., 2:22, 20] = 0
    inside[..., 8:12, 8:13] = 0
    weights = detail_weights(target, border=2.0, thin=3.0)
    plain = [float(mask_loss(8 * mask - 4, target)) for mask in (line, inside)]
    weighed = [float(mask_loss(8 * mask - 4, target, weights=weights)) for mask in (line, inside)]
    assert plain[0] == pytest.approx(plain[1], abs=1e-4)
    assert weighed[0] > 3 * weighed[1]
