import numpy as np
import pytest
import torch

from persam_hq.training.data.rng import StepRng


def rng(seed=0, batch=4):
    return StepRng(np.random.default_rng(seed), batch=batch)


def test_shapes_and_ranges():
    drawn = rng(batch=500).uniform(-2, 3, 2)
    assert drawn.shape == (500, 2)
    assert drawn.dtype == torch.float32
    assert -2 <= drawn.min() < -1.8
    assert 2.8 < drawn.max() < 3
    assert rng().uniform(0, 1).shape == (4,)


def test_probabilities():
    assert rng(batch=1000).each(0.3).float().mean() == pytest.approx(0.3, abs=0.05)
    assert not rng().each(0.0).any()
    many = rng()
    assert sum(many.once(0.3) for _ in range(1000)) == pytest.approx(300, abs=50)
    assert {many.integer(3) for _ in range(50)} == {0, 1, 2}
    assert {many.pick({"a": 0.5, "b": 0.5, "c": 0.0}) for _ in range(50)} == {"a", "b"}


def test_cells_are_drawn_by_their_weight_and_differ():
    weights = torch.zeros(4, 10)
    weights[:, [2, 5, 7]] = 1
    cells = rng().cells(weights, 3)
    assert cells.sort(dim=1).values.tolist() == [[2, 5, 7]] * 4


def test_the_same_generator_gives_the_same_choices():
    def draw(seed):
        one = rng(seed)
        return [
            one.uniform(0, 1).tolist(),
            one.each(0.5).tolist(),
            one.integer(99),
            one.cells(torch.ones(4, 50), 2).tolist(),
        ]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_torchs_own_generator_plays_no_part():
    torch.manual_seed(1)
    first = rng().cells(torch.ones(4, 50), 2)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, rng().cells(torch.ones(4, 50), 2))
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)
