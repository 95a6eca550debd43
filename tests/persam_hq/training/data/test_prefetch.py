import threading

import pytest

from persam_hq.training.data.prefetch import AHEAD, prefetch


@pytest.mark.parametrize("count", [0, 1, AHEAD, AHEAD + 1, 7])
def test_every_step_once_and_in_order(count):
    assert list(prefetch(lambda step: 10 * step, start=5, stop=5 + count)) == [
        (5 + k, 50 + 10 * k) for k in range(count)
    ]


def test_no_more_than_the_next_ones_are_made_ahead_and_in_a_thread_of_their_own():
    made, threads = [], set()

    def make(step):
        made.append(step)
        threads.add(threading.current_thread())

    for taken, (step, _) in enumerate(prefetch(make, start=0, stop=6)):
        assert step == taken
        assert len(made) <= taken + 1 + AHEAD
    assert made == list(range(6))
    assert threading.current_thread() not in threads


def test_what_fails_in_the_thread_fails_where_it_is_asked_for():
    def make(step):
        if step == 1:
            raise ValueError("no data")
        return step

    batches = prefetch(make, start=0, stop=4)
    assert next(batches) == (0, 0)
    with pytest.raises(ValueError, match="no data"):
        next(batches)
