"""Equal calls are found, and computed once, from any thread."""

import threading
from dataclasses import dataclass

import pytest
import torch

from persamhq_video.compare.shared_segmenter import CallCache, bitwise_equal, merge_equal


@dataclass(frozen=True)
class Pair:
    first: object
    second: object


def pair(value=1.0):
    return Pair(torch.full((2, 3), value), ("x", {"a": torch.arange(3)}))


EQUAL = [
    (pair(), pair()),
    (None, None),
    (torch.float32, torch.float32),
    (frozenset({"ridge"}), frozenset({"ridge"})),
    ((1, (2.5, "a")), (1, (2.5, "a"))),
]
DIFFERENT = [
    (pair(), pair(2.0)),
    (torch.zeros(2), torch.zeros(3)),
    (torch.zeros(2), torch.zeros(2, dtype=torch.float16)),
    (torch.tensor([torch.nan]), torch.tensor([torch.nan])),
    ((1, 2), (1, 2, 3)),
    ((1, 2), [1, 2]),
    ({"a": 1}, {"b": 1}),
    (1, 1.0),
    (object(), object()),
    (pair(), None),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_bitwise_equal(one, other):
    assert bitwise_equal(one, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_bitwise_equal(one, other):
    assert not bitwise_equal(one, other)


def test_equal_values_become_one_object():
    first, second, third = pair(), pair(2.0), pair()
    merged = merge_equal([first, second, third])
    assert merged[0] is merged[2] is first
    assert merged[1] is second


def test_an_equal_call_is_computed_once():
    calls, made = CallCache(), []
    results = [calls.get_or_compute(("locate", pair()), lambda: made.append(1) or object()) for _ in range(3)]
    assert len(made) == 1
    assert results[0] is results[1] is results[2]


def test_another_call_has_another_result():
    calls = CallCache()
    assert calls.get_or_compute(("locate", pair()), lambda: "a") == "a"
    assert calls.get_or_compute(("decode", pair()), lambda: "b") == "b"
    assert calls.get_or_compute(("locate", pair(2.0)), lambda: "c") == "c"


def test_cleared_results_are_computed_again():
    calls = CallCache()
    assert calls.get_or_compute(("locate",), lambda: "a") == "a"
    calls.clear()
    assert calls.get_or_compute(("locate",), lambda: "b") == "b"


def test_a_waiting_thread_gets_the_result_of_the_one_that_computes():
    calls, begun, go = CallCache(), threading.Event(), threading.Event()
    results = []

    def slow():
        begun.set()
        go.wait(5)
        return "slow"

    first = threading.Thread(target=lambda: results.append(calls.get_or_compute(("q",), slow)))
    first.start()
    assert begun.wait(5)
    second = threading.Thread(target=lambda: results.append(calls.get_or_compute(("q",), lambda: "own")))
    second.start()
    go.set()
    first.join()
    second.join()
    assert results == ["slow", "slow"]


def test_an_error_is_raised_for_every_caller():
    calls = CallCache()

    def fail():
        raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            calls.get_or_compute(("q",), fail)
