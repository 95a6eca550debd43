import numpy as np
import pytest
from stand_ins.training import SIDE, FixturePairs

from persam_hq.errors import InputError
from persam_hq.training.data.pairs import PairMaker


class Nothing:
    def draw(self, rng):
        return None


def same(first, second):
    views = zip(first, second, strict=True)
    return all(
        np.array_equal(getattr(a, side).image, getattr(b, side).image)
        for a, b in views
        for side in ("reference", "target")
    )


@pytest.fixture
def maker():
    return PairMaker([FixturePairs(), FixturePairs(64, 48)], [1.0, 2.0], side=SIDE, seed=0)


def test_a_row_is_the_same_beside_whatever_rows(maker):
    whole = maker.batch(7, range(4), purpose=0)
    assert same(whole, (*maker.batch(7, range(2), purpose=0), *maker.batch(7, range(2, 4), purpose=0)))
    assert not same(whole, maker.batch(8, range(4), purpose=0))
    assert not same(whole, maker.batch(7, range(4), purpose=1))


def test_a_stream_gives_the_batches_of_its_steps_in_order(maker):
    streamed = list(maker.stream(start=3, stop=8, rows=range(2), purpose=0))
    assert [step for step, _ in streamed] == [3, 4, 5, 6, 7]
    assert all(same(pairs, maker.batch(step, range(2), purpose=0)) for step, pairs in streamed)
    assert list(maker.stream(start=3, stop=3, rows=range(2), purpose=0)) == []


def test_what_shows_nothing_is_drawn_again():
    maker = PairMaker([Nothing(), FixturePairs()], [9.0, 1.0], side=SIDE, seed=0)
    assert len(maker.batch(0, range(3), purpose=0)) == 3
    with pytest.raises(InputError, match="1000 pairs drawn and no object large enough in any; check the masks"):
        PairMaker([Nothing()], [1.0], side=SIDE, seed=0).batch(0, [0], purpose=0)
