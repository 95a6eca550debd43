import pytest
import torch
from torch.nn import functional as F

from persam_hq.errors import InputError, ShapeError
from persam_hq.personalization import Schedule, fit_scale_weights, scale_loss, weigh_masks
from persam_hq.personalization.scale_loss import ScaleProblem
from persam_hq.personalization.scale_weights import HIGHEST, LOWEST


def halves():
    """Three masks, of which the middle one is right, and the others are its opposite."""
    truth = torch.zeros(8, 8, dtype=torch.bool)
    truth[2:6, 2:6] = True
    right = truth.float() * 8 - 4
    return torch.stack([-right, right, -right]), truth


def scales(seed):
    """Round masks of three sizes, noisy, and an object that none of them is."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    distance = ((x - 30) ** 2 + (y - 25) ** 2).sqrt()
    radii = 6 + 16 * torch.rand(3, generator=generator)
    sharpness = 0.5 + 3 * torch.rand(3, generator=generator)
    logits = (radii[:, None, None] - distance) / sharpness[:, None, None]
    logits = (logits + 2 * torch.randn(3, 48, 64, generator=generator)).clamp(-20, 12)
    return logits, distance < 8 + 8 * torch.rand((), generator=generator)


def descent_as_published(logits, mask, *, steps, learning_rate):
    """The published loop: the loss of every pixel, differentiated by autograd, a step at a time."""
    free = torch.full((2,), 1 / 3, requires_grad=True)
    optimizer = torch.optim.AdamW([free], lr=learning_rate, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    truth = mask.float()
    for _ in range(steps):
        merged = (1 - free.sum()) * logits[0] + free[0] * logits[1] + free[1] * logits[2]
        p = merged.sigmoid()
        dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
        entropy = F.binary_cross_entropy_with_logits(merged, truth, reduction="none")
        right = p * truth + (1 - p) * (1 - truth)
        focal = ((0.25 * truth + 0.75 * (1 - truth)) * entropy * (1 - right) ** 2).mean()
        optimizer.zero_grad()
        (dice + focal).backward()
        optimizer.step()
        schedule.step()
    second, third = free.detach()
    return torch.stack([1 - second - third, second, third])


def test_weighing_by_hand():
    logits = torch.arange(12.0).reshape(3, 2, 2)
    expected = logits[0] * 0.5 + logits[1] * 0.25 + logits[2] * 0.25
    weights = torch.tensor([0.5, 0.25, 0.25])
    assert torch.allclose(weigh_masks(logits, weights), expected[None])
    several = weigh_masks(torch.stack([logits, 2 * logits]), torch.stack([weights, weights]))
    assert torch.allclose(several, torch.stack([expected, 2 * expected])[:, None])


def test_weights_start_at_a_third_and_sum_to_one():
    logits, truth = halves()
    weights = fit_scale_weights(logits, truth, solver="published", schedule=Schedule(steps=1, learning_rate=1e-3))
    assert weights.tolist() == pytest.approx([1 / 3] * 3, abs=5e-3)
    assert float(weights.sum()) == pytest.approx(1)


def test_the_first_step_by_hand():
    # AdamW's first step moves a weight by the learning rate against the gradient's sign, after its decay of 0.01
    logits, truth = halves()
    schedule = Schedule(steps=1, learning_rate=1e-3)
    _, second, third = fit_scale_weights(logits, truth, solver="published", schedule=schedule).tolist()
    decayed = 1 / 3 * (1 - 1e-3 * 0.01)
    assert second == pytest.approx(decayed + 1e-3, abs=2e-5)
    assert third == pytest.approx(decayed, abs=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_published_solver_is_the_published_loop(seed):
    logits, mask = scales(seed)
    got = fit_scale_weights(logits, mask, solver="published", schedule=Schedule(steps=300, learning_rate=1e-3))
    want = descent_as_published(logits, mask, steps=300, learning_rate=1e-3)
    assert torch.allclose(got, want, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "steps", "rate"), [("published", 1000, 1e-3), ("published_video", 800, 4e-4)])
def test_the_published_schedules(solver, steps, rate):
    logits, mask = scales(5)
    by_hand = fit_scale_weights(logits, mask, solver=solver, schedule=Schedule(steps=steps, learning_rate=rate))
    assert torch.equal(fit_scale_weights(logits, mask, solver=solver), by_hand)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_optimal_is_nowhere_worse(seed):
    logits, mask = scales(seed)
    optimal = fit_scale_weights(logits, mask)
    loss = scale_loss(logits, mask, optimal)
    published = fit_scale_weights(logits, mask, solver="published")
    assert loss <= scale_loss(logits, mask, published)

    # Nor than anything on a fine grid within its limits
    axis = torch.linspace(LOWEST, HIGHEST, 31)
    grid = torch.cartesian_prod(axis, axis).double()
    assert loss <= float(ScaleProblem.of_pixels(logits, mask).loss(grid).min()) + 1e-9


def test_a_perfect_mask_ends_at_the_limits():
    # Its loss falls for ever as its weight grows
    logits, truth = halves()
    weights = fit_scale_weights(logits, truth)
    assert torch.equal(weigh_masks(logits, weights)[0] > 0, truth)
    assert float(weights[1]) == pytest.approx(HIGHEST)
    assert not weights.requires_grad


def test_masks_that_are_all_the_same_leave_the_weights_alone():
    logits, mask = scales(1)
    weights = fit_scale_weights(logits[:1].expand(3, -1, -1), mask)
    assert weights.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("solver", ["optimal", "published"])
def test_several_objects_are_what_they_are_alone(solver):
    cases = [scales(seed) for seed in range(3)]
    logits, masks = (torch.stack(of_all) for of_all in zip(*cases, strict=True))
    schedule = Schedule(steps=50, learning_rate=1e-3)
    together = fit_scale_weights(logits, masks, solver=solver, schedule=schedule)
    alone = [fit_scale_weights(*case, solver=solver, schedule=schedule) for case in cases]
    assert torch.equal(together, torch.stack(alone))


def test_what_cannot_be_fitted():
    with pytest.raises(ShapeError, match=r"logits \(3, H, W\)"):
        fit_scale_weights(torch.zeros(3, 4, 4), torch.zeros(5, 4, dtype=torch.bool))
    with pytest.raises(ShapeError, match="2 objects and masks of 1"):
        fit_scale_weights(torch.zeros(2, 3, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="known: optimal, published"):
        fit_scale_weights(*halves(), solver="best")
