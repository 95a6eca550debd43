import numpy as np
import pytest
import torch
from stand_in_lite import tiny_lite

from persam_hq.training.unroll import Unroll


def batch(length=3):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, length, 3, 64, 64))).float()
    masks = torch.zeros(2, length, 64, 64)
    masks[0, :, 10:40, 12:50] = 1
    masks[1, 0, 20:60, 5:30] = 1
    return frames, masks


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


def test_every_part_of_the_model_learns(model):
    reached = set()
    for seed in (0, 2, 3, 4, 10):  # a box, a mask, a point, none, points
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(Unroll(model, rng=np.random.default_rng(seed))(*batch()).loss)
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    # Of the three masks only the best one is taught, so a head that never is it stays behind
    heads = {f"mask_decoder.output_hypernetworks_mlps.{index}." for index in (1, 2, 3)}
    unreached = {name for name, _ in model.named_parameters()} - reached
    assert unreached == {name for name in unreached if name.startswith(tuple(heads))}
    assert any(name.startswith(tuple(heads)) for name in reached)


def test_the_same_generator_gives_the_same_step(model):
    one, other = (Unroll(model, rng=np.random.default_rng(3))(*batch()) for _ in range(2))
    assert one.figures == other.figures
    assert torch.equal(one.loss, other.loss)
    assert one.figures != Unroll(model, rng=np.random.default_rng(4))(*batch()).figures


def test_what_is_handed_in_stays_as_it_was(model):
    frames, masks = batch()
    before = frames.clone(), masks.clone()
    Unroll(model, rng=np.random.default_rng(0))(frames, masks)
    assert torch.equal(frames, before[0])
    assert torch.equal(masks, before[1])


def test_figures_are_finite_and_the_loss_is_the_first(model):
    figures = Unroll(model, rng=np.random.default_rng(1))(*batch(length=2)).figures
    assert next(iter(figures)) == "loss"
    assert all(np.isfinite(value) for value in figures.values())
