"""Placement of videos and frames on workers."""

import pytest
from stand_ins.pool import InstantPrefetcher, StandInClient, make_frame

from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.placement import choose_home_worker, choose_slot
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import WorkerSlot


@pytest.fixture
def slots():
    return [WorkerSlot(number, capacity=4, clock=lambda: 0.0) for number in range(3)]


@pytest.fixture
def video():
    client = StandInClient(100)
    return VideoInFlight(0, client, InstantPrefetcher(client.frames, wake=lambda: None), chained=True)


def fill(slot, frames):
    slot.holding |= {FrameTask(9, make_frame(index)) for index in range(frames)}


def place(index, video, slots, *, spread, is_next=False):
    """Where the frame goes; by default it is not the one that its video waits for."""
    if not is_next:
        video.add(make_frame(0))
    slot = choose_slot(video.add(make_frame(index)), video, slots, spread=spread)
    return None if slot is None else slot.number


def at_home(video, worker):
    video.home_worker = worker
    return video


def test_a_video_goes_where_the_fewest_are(slots):
    client = StandInClient(1)
    others = [VideoInFlight(n, client, InstantPrefetcher(client.frames, wake=None), chained=True) for n in (1, 2)]
    for other, home in zip(others, (0, 2), strict=True):
        other.home_worker = home
    assert choose_home_worker(slots, others) == 1
    assert choose_home_worker(slots, []) == 0
    slots[1].ready = False
    assert choose_home_worker(slots, others) == 0


def test_enough_videos_stay_at_home(slots, video):
    fill(slots[1], 3)
    assert place(8, at_home(video, 1), slots, spread=False) == 1


@pytest.mark.parametrize(("is_next", "worker"), [(False, None), (True, 1)])
def test_a_home_that_is_full_takes_only_what_its_video_waits_for(slots, video, is_next, worker):
    fill(slots[1], 4)
    assert place(8, at_home(video, 1), slots, spread=False, is_next=is_next) == worker


def test_a_home_that_is_lost_is_no_hindrance(slots, video):
    slots[1].ready = False
    fill(slots[0], 1)
    assert place(8, at_home(video, 1), slots, spread=False) == 2


@pytest.mark.parametrize(("index", "worker"), [(8, 2), (9, 1), (11, 1), (12, 2)])
def test_a_block_of_four_goes_to_one_worker_and_the_next_to_the_emptiest(slots, video, index, worker):
    fill(slots[0], 2)
    fill(slots[1], 1)
    video.last_worker = 1
    assert place(index, at_home(video, 0), slots, spread=True) == worker


@pytest.mark.parametrize(("is_next", "worker"), [(False, None), (True, 0)])
def test_where_all_are_full_only_the_next_frame_of_a_video_is_placed(slots, video, is_next, worker):
    for slot in slots:
        fill(slot, 4)
    assert place(8, at_home(video, 0), slots, spread=True, is_next=is_next) == worker


def test_a_suspect_frame_goes_where_nothing_is_under_way(slots, video):
    for slot in slots[:2]:
        slot.call_sent(FrameTask(9, make_frame(1)), "encode")
    fill(slots[2], 4)
    suspect = video.add(make_frame(5))
    suspect.deaths["track"] += 1
    assert choose_slot(suspect, at_home(video, 0), slots, spread=True) is slots[2]


def test_without_a_worker_nothing_is_placed(slots, video):
    for slot in slots:
        slot.ready = False
    assert place(8, at_home(video, 0), slots, spread=True, is_next=True) is None
