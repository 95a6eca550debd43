import pytest
import torch

from persam_hq.training.data.rng import RowRng


def rng(rows, step=4):
    return RowRng(seed=1, step=step, rows=rows, purpose=2)


DRAWS = {
    "uniform": lambda c: c.uniform(-1, 1, 3, 2),
    "scalars": lambda c: c.uniform(0, 5),
    "each": lambda c: c.each(0.5),
    "cells": lambda c: c.cells(torch.ones(c.batch, 50), 4),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_row_is_the_same_beside_whatever_rows(draw):
    whole = draw(rng(range(6)))
    assert torch.equal(torch.cat([draw(rng(range(2))), draw(rng(range(2, 6)))]), whole)
    assert not torch.equal(draw(rng(range(6), step=5)), whole)
    assert not all(torch.equal(row, whole[0]) for row in whole)


def test_what_is_drawn_for_the_step_is_the_same_for_all_rows():
    drawn = [(c.once(0.5), c.integer(1000), c.pick({"a": 0.5, "b": 0.5})) for c in (rng([0]), rng([5, 6]))]
    assert drawn[0] == drawn[1]
