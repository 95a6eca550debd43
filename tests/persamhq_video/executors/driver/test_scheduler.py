"""Every decision of the driver's loop without a mishap, on workers that answer in a fixed order."""

from collections import Counter

import pytest
from stand_ins.pool import StandInClient, StandInPool, assert_complete, assert_nothing_left

from persamhq_video.executors.client import Continuation

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("size", [1, 3])
def test_results_come_once_and_in_order(run, size, chained, seed):
    pool, clients = StandInPool(size=size, chained=chained, seed=seed), [StandInClient(40), StandInClient(1)]
    scheduler = run(pool, *clients)
    assert_complete(*clients)
    assert_nothing_left(scheduler, pool)
    assert Counter(pool.kinds("track", 0)) == Counter(range(1, 40))
    assert len(clients[0].usage.peak_memory) == size


@pytest.mark.parametrize("seed", SEEDS)
def test_one_step_of_a_chain_is_under_way(run, seed):
    pool = StandInPool(size=3, seed=seed)
    run(pool, StandInClient(30), StandInClient(30))
    assert set(pool.most_tracks.values()) == {1}


def test_without_a_chain_several_steps_are(run):
    pool = StandInPool(size=2, chained=False)
    run(pool, StandInClient(30))
    assert pool.most_tracks[0] > 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("capacity", [1000, 3, 1, 0])
def test_no_worker_holds_more_than_fits(run, capacity, seed):
    pool = StandInPool(size=2, frames_ahead=4, capacity=capacity, seed=seed)
    client = StandInClient(40)
    run(pool, client)
    assert_complete(client)
    # What a worker has room for is known once it has encoded a frame.
    assert max(pool.most_encoded.values()) <= 4
    assert client.decoded == 40


def test_frames_are_not_decoded_before_there_is_room(run):
    pool, client = StandInPool(size=2, frames_ahead=4), StandInClient(100)
    ahead = []
    client.on_deliver = lambda index: ahead.append(client.decoded - index)
    run(pool, client)
    assert max(ahead) <= 2 * 4 + 2


def test_a_video_whose_results_wait_gets_no_further_frames(run):
    pool, client = StandInPool(size=1, frames_ahead=4), StandInClient(60)
    decoded = []

    def wait(index):
        client.backlog = 17 if 20 <= index < 23 else 0
        decoded.append(client.decoded)

    client.on_deliver = wait
    run(pool, client)
    assert_complete(client)
    assert decoded[20] == decoded[22]


def test_neighbours_go_to_one_worker(run):
    pool = StandInPool(size=2, frames_ahead=8)
    run(pool, StandInClient(64))
    workers = {asked.index: asked.worker for asked in pool.done if asked.kind == "encode"}
    changes = sum(workers[index] != workers[index - 1] for index in range(2, 64))
    assert set(workers.values()) == {0, 1}
    assert changes <= 63 // 4 + 8


def test_enough_videos_stay_on_a_worker_each(run):
    pool = StandInPool(size=2)
    run(pool, StandInClient(30), StandInClient(30))
    for video in (0, 1):
        encoded = [asked for asked in pool.asked if asked.video == video and asked.kind == "encode"]
        # At the end there may be a single video left, which goes round all workers.
        assert {asked.worker for asked in encoded[:20]} == {video}


def test_videos_take_turns(run):
    pool, clients = StandInPool(size=2, frames_ahead=8), [StandInClient(40) for _ in range(3)]
    gaps = []
    for client in clients:
        client.on_deliver = lambda _: gaps.append(len(clients[0].delivered) - len(clients[1].delivered))
    run(pool, *clients)
    assert_complete(*clients)
    assert max(map(abs, gaps[:40])) <= 2 * 8


@pytest.mark.parametrize("seed", SEEDS)
def test_as_many_videos_as_workers_are_open(run, seed):
    pool, clients = StandInPool(size=2, seed=seed), [StandInClient(8) for _ in range(7)]
    most = []
    for client in clients:
        client.on_deliver = lambda _: most.append(sum(0 < len(c.delivered) < 8 for c in clients))
    run(pool, *clients)
    assert_complete(*clients)
    assert max(most) == 2


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("size", [1, 3])
def test_a_run_goes_on_where_an_earlier_one_stopped(run, size, chained):
    pool = StandInPool(size=size, chained=chained)
    client = StandInClient(40, continuation=Continuation(32, tuple(range(32)) if chained else (0,)))
    run(pool, client)
    assert_complete(client)
    assert pool.kinds("begin") == [0]
    assert min(pool.kinds("encode")) == 32


def test_a_run_of_which_only_the_end_is_missing(run):
    pool, client = StandInPool(), StandInClient(16, continuation=Continuation(16, tuple(range(16))))
    run(pool, client)
    assert client.endings == [None]
    assert client.delivered == pool.kinds("encode") == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chained", [True, False])
def test_states_are_kept_often_enough_to_repeat_at_most_16_frames(run, chained, seed):
    pool, client = StandInPool(size=3, chained=chained, seed=seed), StandInClient(100)
    again = []
    pool.fault = lambda asked: again.append(
        max([index for stage, index in client.begun_work if stage == "track"], default=0) - client.safe_until
    )
    run(pool, client)
    assert_complete(client)
    assert max(again) <= 16
    for index, state in client.snapshots:
        assert state == (tuple(range(index + 1)) if chained else (0,))


@pytest.mark.parametrize("chained", [True, False])
def test_what_is_not_on_the_disk_yet_is_waited_for(run, chained):
    """A writer that is slow holds the tracker back, so that a kill never costs more than 16 frames."""
    pool, client = StandInPool(chained=chained), StandInClient(100)
    waiting = []
    client.snapshot = lambda index, state: waiting.append((index, state))
    again = []

    def write(asked):
        tracked = max([index for stage, index in client.begun_work if stage == "track"], default=0)
        again.append(tracked - client.safe_until)
        if tracked - client.safe_until >= 16:
            client.snapshots += waiting

    pool.fault = write
    monkey_step = pool.step

    def step():
        client.snapshots += waiting if not any(worker.queues["track"] for worker in pool.workers) else []
        return monkey_step()

    pool.step = step
    run(pool, client)
    assert_complete(client)
    assert max(again) <= 16
