import pytest
import torch

from persam_hq.errors import ShapeError
from persam_hq.personalization import fit_scale_weights, weigh_masks


def halves():
    """Three masks, of which the middle one is right, and the others are its opposite."""
    truth = torch.zeros(8, 8, dtype=torch.bool)
    truth[2:6, 2:6] = True
    right = truth.float() * 8 - 4
    return torch.stack([-right, right, -right]), truth


def test_weighing_by_hand():
    logits = torch.arange(12.0).reshape(3, 2, 2)
    expected = logits[0] * 0.5 + logits[1] * 0.25 + logits[2] * 0.25
    assert torch.allclose(weigh_masks(logits, torch.tensor([0.5, 0.25, 0.25])), expected[None])


def test_weights_start_at_a_third_and_sum_to_one():
    logits, truth = halves()
    first, second, third = fit_scale_weights(logits, truth, steps=1).tolist()
    assert [first, second, third] == pytest.approx([1 / 3] * 3, abs=5e-3)
    assert first + second + third == pytest.approx(1)


def test_the_mask_that_is_right_gains():
    logits, truth = halves()
    weights = fit_scale_weights(logits, truth, steps=400, learning_rate=1e-2)
    assert weights.argmax() == 1
    assert torch.equal(weigh_masks(logits, weights)[0] > 0, truth)
    assert not weights.requires_grad


def test_the_first_step_by_hand():
    # AdamW's first step moves a weight by the learning rate against the gradient's sign, after its decay of 0.01
    logits, truth = halves()
    _, second, third = fit_scale_weights(logits, truth, steps=1, learning_rate=1e-3).tolist()
    decayed = 1 / 3 * (1 - 1e-3 * 0.01)
    assert second == pytest.approx(decayed + 1e-3, abs=2e-5)
    assert third == pytest.approx(decayed, abs=2e-5)


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"logits \(3, H, W\)"):
        fit_scale_weights(torch.zeros(3, 4, 4), torch.zeros(5, 4, dtype=torch.bool))
