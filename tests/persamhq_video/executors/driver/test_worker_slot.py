"""A worker as the driver accounts for it: frames, calls, and their times by a clock that the test moves."""

import pytest
from stand_ins.pool import make_frame

from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.worker_slot import WorkerSlot


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slot(clock):
    return WorkerSlot(0, capacity=2, clock=clock)


def task(index, *, suspect=False):
    made = FrameTask(0, make_frame(index))
    if suspect:
        made.deaths["encode"] += 1
    return made


def test_room(slot):
    assert slot.free == 2
    slot.holding |= {task(1), task(2), task(3)}
    assert slot.free == -1
    slot.ready = False
    assert slot.free == 0


def test_each_call_has_the_whole_time(slot, clock):
    first, second = task(1), task(2)
    slot.call_sent(first, "encode")
    clock.now = 8
    slot.call_sent(second, "encode")
    clock.now = 11
    assert slot.hanging(10) == [first]
    slot.call_answered(first)
    clock.now = 20
    assert slot.hanging(10) == []
    clock.now = 22
    assert slot.hanging(10) == [second]


def test_the_two_kinds_of_calls_run_side_by_side(slot):
    encoded, waiting, tracked = task(3), task(4), task(1)
    slot.call_sent(encoded, "encode")
    slot.call_sent(waiting, "encode")
    slot.call_sent(tracked, "track")
    assert slot.under_way() == [encoded, tracked]
    assert tracked.call_kind == "track"


def test_a_suspect_frame_waits_until_the_worker_is_idle_and_no_other_one_gets_in_before(slot):
    busy, suspect, other = task(1), task(2, suspect=True), task(3)
    slot.call_sent(busy, "encode")
    assert not slot.accepts(suspect)
    assert not slot.accepts(other)
    slot.call_answered(busy)
    assert slot.accepts(suspect)


def test_beside_a_suspect_frame_nothing_else_runs(slot):
    suspect, other = task(2, suspect=True), task(3)
    slot.call_sent(suspect, "track")
    assert not slot.accepts(other)
    slot.call_answered(suspect)
    assert slot.accepts(other)


def test_a_worker_that_is_being_replaced_takes_nothing(slot):
    slot.ready = False
    assert not slot.accepts(task(1))


def test_a_lost_worker_leaves_an_empty_slot(slot, clock):
    held = task(1)
    slot.holding.add(held)
    slot.call_sent(held, "encode")
    slot.suspects_waiting.add(task(2, suspect=True))
    assert slot.clear() == [held]
    clock.now = 1000
    assert slot.idle
    assert slot.hanging(1) == slot.under_way() == []
    assert slot.accepts(task(3))
