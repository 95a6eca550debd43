import threading

import pytest

from persamhq_video.executors.run_ahead import run_ahead
from persamhq_video.executors.window import Window, submit_ahead


def test_the_same_items_in_order():
    assert list(run_ahead(iter(range(50)), depth=2, name="count")) == list(range(50))


def test_an_error_comes_after_the_items_before_it():
    def three_and_out():
        yield from (1, 2, 3)
        raise ValueError("out")

    items = run_ahead(three_and_out(), depth=1, name="fail")
    assert [next(items), next(items), next(items)] == [1, 2, 3]
    with pytest.raises(ValueError, match="out"):
        next(items)


def test_no_more_ahead_than_told():
    made = []

    def count():
        for index in range(100):
            made.append(index)
            yield index

    items = run_ahead(count(), depth=2, name="count")
    next(items)
    items.close()
    assert len(made) <= 5


def test_closing_closes_the_source_in_its_thread():
    closed_in = []

    def count():
        try:
            yield from range(100)
        finally:
            closed_in.append(threading.current_thread().name)

    items = run_ahead(count(), depth=1, name="counter")
    next(items)
    items.close()
    assert closed_in == ["counter"]
    assert "counter" not in {thread.name for thread in threading.enumerate()}


def test_interrupts_cross_over():
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    items = run_ahead(interrupted(), depth=1, name="interrupt")
    assert next(items) == 1
    with pytest.raises(KeyboardInterrupt):
        next(items)


@pytest.mark.parametrize(
    ("window", "limit"),
    [
        (Window(frames=4, budget=100), 4),
        (Window(frames=8, budget=100, workers=2, block=4), 16),
        (Window(frames=7, budget=100, workers=2, block=4), 8),
        (Window(frames=3, budget=100, workers=2, block=4), 3),
    ],
)
def test_window(window, limit):
    assert window.limit == limit


@pytest.mark.parametrize(("size", "limit"), [(1, 8), (25, 4), (60, 1), (1000, 1), (0, 8)])
def test_a_window_follows_the_budget(size, limit):
    window = Window(frames=8, budget=100)
    window.saw(size)
    assert window.limit == limit


def test_submit_ahead_hands_back_everything_before_an_error():
    def two_and_out():
        yield from (1, 2)
        raise ValueError("out")

    got = submit_ahead(two_and_out(), str, Window(frames=9, budget=1))
    assert [next(got), next(got)] == ["1", "2"]
    with pytest.raises(ValueError, match="out"):
        next(got)


def test_submit_ahead_keeps_order_and_distance():
    submitted = []

    def submit(item):
        submitted.append(item)
        return item

    got = submit_ahead(range(10), submit, Window(frames=3, budget=1))
    assert next(got) == 0
    assert submitted == [0, 1, 2]
    assert list(got) == list(range(1, 10))
