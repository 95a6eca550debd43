import pytest
import torch
from torch.nn import functional as F

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.personalization import scale_loss
from persam_hq.personalization.scale_loss import ScaleProblem, all_three

PLACES = torch.tensor([[1 / 3, 1 / 3], [0.2, 0.5], [-0.3, 0.9], [2.0, -1.0]], dtype=torch.float64)


def noisy(seed=0, height=12, width=18):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(3, height, width, generator=generator, dtype=torch.float64)
    return logits, torch.rand(height, width, generator=generator) > 0.6


def smooth(height=120, width=160):
    """Three round masks of different sizes and sharpness, and an object that is none of them."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")

    def distance(cx, cy):
        return ((x - cx) ** 2 + (y - cy) ** 2).sqrt()

    logits = torch.stack([(20 - distance(70, 60)) / 2, (34 - distance(80, 60)) / 3, (55 - distance(80, 58)) / 4])
    return logits, ((x - 79) / 40) ** 2 + ((y - 60) / 29) ** 2 < 1


def published_loss(logits, mask, weights):
    """Dice and focal loss as the paper's references define them, with torch's own pieces."""
    merged = sum(weight * one for weight, one in zip(weights, logits, strict=True)).flatten()
    truth = mask.flatten().to(merged)
    p = merged.sigmoid()
    dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(merged, truth, reduction="none")
    right = torch.where(mask.flatten(), p, 1 - p)
    focal = torch.where(mask.flatten(), 0.25, 0.75) * entropy * (1 - right) ** 2
    return dice + focal.mean()


@pytest.mark.parametrize("place", PLACES)
def test_the_loss_is_the_published_one(place):
    logits, mask = noisy()
    want = published_loss(logits, mask, all_three(place))
    assert ScaleProblem.of_pixels(logits, mask).loss(place[None])[0] == pytest.approx(float(want), abs=1e-9)
    assert scale_loss(logits, mask, all_three(place)) == pytest.approx(float(want), abs=1e-9)


@pytest.mark.parametrize("case", [noisy, smooth])
def test_derivatives_are_those_of_autograd(case):
    problem = ScaleProblem.of_pixels(*case())
    expansion = problem.expand(PLACES)
    assert torch.allclose(expansion.loss, problem.loss(PLACES), atol=1e-12)
    for index, place in enumerate(PLACES):

        def loss(free):
            return problem.loss(free[None])[0]

        gradient, hessian = (
            f(loss, place) for f in (torch.autograd.functional.jacobian, torch.autograd.functional.hessian)
        )
        assert torch.allclose(expansion.gradient[index], gradient, atol=1e-10)
        assert torch.allclose(expansion.hessian[index], hessian, atol=1e-10)


def test_gathering_equal_pixels_changes_nothing():
    logits, mask = noisy()
    alike = logits.repeat(1, 4, 3), mask.repeat(4, 3)
    every, gathered = ScaleProblem.of_pixels(*alike), ScaleProblem.of_pixels(*alike).gathered(1e-6)
    assert len(gathered.first) == mask.numel()
    assert set(gathered.count.tolist()) == {12}
    assert torch.allclose(gathered.loss(PLACES), every.loss(PLACES), atol=1e-12)


def test_gathering_errs_in_the_second_order():
    every = ScaleProblem.of_pixels(*smooth())
    errors = [float((every.gathered(w).loss(PLACES[:2]) - every.loss(PLACES[:2])).abs().max()) for w in (0.5, 0.125)]
    assert errors[1] < errors[0] / 8
    assert errors[1] < 1e-3


def test_gathering_keeps_object_and_background_apart():
    logits = torch.zeros(3, 4, 4)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    gathered = ScaleProblem.of_pixels(logits, mask).gathered()
    assert sorted(zip(gathered.truth.tolist(), gathered.count.tolist(), strict=True)) == [(0, 12), (1, 4)]


def test_weights_sum_to_one():
    assert all_three(torch.tensor([[0.5, 0.25], [-1.0, 2.0]])).tolist() == [[0.25, 0.5, 0.25], [0, -1, 2]]


def test_what_cannot_be_fitted():
    with pytest.raises(ShapeError, match=r"logits \(3, H, W\)"):
        ScaleProblem.of_pixels(torch.zeros(3, 4, 4), torch.ones(5, 4, dtype=torch.bool))
    with pytest.raises(EmptyMaskError, match="empty"):
        ScaleProblem.of_pixels(torch.zeros(3, 4, 4), torch.zeros(4, 4, dtype=torch.bool))
