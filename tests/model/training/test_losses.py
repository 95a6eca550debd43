import math

import pytest
import torch

from persam_hq.training.losses import mask_iou, mask_loss, read_out_loss


def grid(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


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
