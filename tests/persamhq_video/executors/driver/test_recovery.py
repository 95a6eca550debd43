"""Workers that die, hang or lose states: what the driver's loop makes of it."""

from collections import Counter
from random import Random

import pytest
from stand_ins.pool import (
    DIE,
    HANG,
    LOSE_STATE,
    StandInClient,
    StandInPool,
    always,
    assert_complete,
    assert_nothing_left,
    once,
)

from persamhq_video.errors import ExecutorError

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("kind", ["begin", "encode", "track"])
def test_a_worker_lost_at_some_work(run, kind, chained, seed):
    pool = StandInPool(size=2, chained=chained, seed=seed, fault=once((kind, 0 if kind == "begin" else 7, DIE)))
    clients = [StandInClient(30), StandInClient(30), StandInClient(30)]
    scheduler = run(pool, *clients)
    assert_complete(*clients)
    assert sum(pool.replacements.values()) == 1
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("seed", range(20))
def test_many_deaths_at_random(run, seed):
    """Whatever dies when, every result comes once; the pool checks that each state is the one of the frame before."""
    encoded, tracked = set(range(2 + seed % 5, 60, 7)), set(range(3, 60, 5))
    deaths = {("encode", index) for index in encoded} | {("track", index) for index in tracked - encoded}
    pool = StandInPool(size=3, seed=seed, fault=once(*((*death, DIE) for death in sorted(deaths))))
    clients = [StandInClient(60), StandInClient(60)]
    scheduler = run(pool, *clients)
    assert_complete(*clients)
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("kind", ["encode", "track"])
def test_a_frame_that_kills_its_worker_is_blamed_and_no_other(run, kind, size, seed):
    pool = StandInPool(size=size, seed=seed, fault=always(kind, 9, DIE))
    clients = [StandInClient(30, name="bad"), StandInClient(30), StandInClient(30)]
    scheduler = run(pool, *clients)
    (error,) = clients[0].endings
    assert isinstance(error, ExecutorError)
    assert "frame 9: its worker died or hung 3 times" in str(error)
    assert clients[0].delivered == list(range(9))
    assert_complete(*clients[1:])
    assert sum(pool.replacements.values()) == 3
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_first_frame_that_kills_its_worker(run, seed):
    pool = StandInPool(seed=seed, fault=always("begin", 0, DIE, video=1))
    clients = [StandInClient(20), StandInClient(20), StandInClient(20)]
    run(pool, *clients)
    assert_complete(clients[0], clients[2])
    assert "frame 0: its worker died or hung 3 times" in str(clients[1].endings[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_two_frames_that_kill_their_workers(run, seed):
    deadly = {(0, 4), (1, 6), (0, 6)}
    pool = StandInPool(size=2, seed=seed, fault=lambda asked: DIE if (asked.video, asked.index) in deadly else None)
    clients = [StandInClient(20), StandInClient(20), StandInClient(20)]
    scheduler = run(pool, *clients)
    assert [len(client.delivered) for client in clients] == [4, 6, 20]
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frame_is_not_blamed_for_kills_that_it_survived(run, seed):
    """Workers killed by chance four times while it was under way, yet never three times in the same stage."""
    left = {"encode": 2, "track": 2}

    def fault(asked):
        if asked.index != 9 or asked.video != 0 or asked.kind not in left:
            return None
        left[asked.kind] -= 1
        return DIE if left[asked.kind] >= 0 else None

    pool, clients = StandInPool(seed=seed, fault=fault), [StandInClient(30), StandInClient(30)]
    run(pool, *clients)
    assert_complete(*clients)


def test_a_suspect_frame_is_alone(run):
    """Once a worker has died of some work, perhaps, that work is done with no other beside it."""
    pool = StandInPool(size=2, frames_ahead=8, fault=once(("encode", 9, DIE), ("encode", 14, DIE)))
    alone = []
    inner = pool.fault
    died = Counter()

    def watch(asked):
        if died[asked.kind, asked.index]:
            queues = pool.workers[asked.worker].queues
            alone.append(not queues["encode"] and not queues["track"])
        fault = inner(asked)
        died[asked.kind, asked.index] += fault == DIE
        return fault

    pool.fault = watch
    client = StandInClient(40)
    run(pool, client)
    assert_complete(client)
    assert len(alone) == 2
    assert all(alone)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["begin", "encode", "track"])
def test_a_worker_that_hangs_is_replaced(run, kind, seed):
    pool = StandInPool(seed=seed, fault=once((kind, 0 if kind == "begin" else 7, HANG)))
    clients = [StandInClient(30), StandInClient(30)]
    run(pool, *clients, call_timeout=20)
    assert_complete(*clients)
    assert sum(pool.replacements.values()) == 1


@pytest.mark.parametrize(
    ("busy_with", "told"),
    [
        (None, "frame 9: its worker died or hung 3 times"),
        ("the refiner 'mine'", "frame 9: the refiner 'mine' hangs: it took more than 20 s (--call-timeout), and 3 "),
    ],
)
def test_a_frame_at_which_workers_hang_is_given_up(run, busy_with, told):
    pool = StandInPool(fault=always("track", 9, HANG))
    pool.busy_with = busy_with
    clients = [StandInClient(30), StandInClient(30)]
    run(pool, *clients, call_timeout=20)
    assert str(clients[0].endings[0]).startswith(told)
    assert_complete(clients[1])
    assert sum(pool.replacements.values()) == 3


def test_a_long_queue_is_no_hanging_worker(run):
    """Each call has the whole time, however long the ones before it took together."""
    pool = StandInPool(size=1, frames_ahead=8)

    def slow(asked):
        if asked.kind == "encode" and not pool.workers[0].queues["track"]:
            pool.now += 15

    pool.fault = slow
    client = StandInClient(40)
    run(pool, client, call_timeout=20)
    assert_complete(client)
    assert not pool.replacements


def test_late_answers_of_a_replaced_worker_count_for_nothing(run):
    """A worker that hung wakes up and answers; its frame is made again all the same."""
    pool = StandInPool(size=2, fault=once(("track", 7, HANG), ("encode", 20, HANG)))
    client = StandInClient(40)
    scheduler = run(pool, client, call_timeout=20)
    assert_complete(client)
    assert pool.kinds("track").count(7) == 2
    assert_nothing_left(scheduler, pool)


def test_a_worker_that_does_not_come_back(run):
    """The others do its work."""
    pool, client = StandInPool(size=2, fault=once(("track", 7, DIE))), StandInClient(30)
    pool.unstartable = {0, 1}
    run(pool, client)
    assert_complete(client)


def test_a_job_without_any_worker_ends(run):
    pool, client = StandInPool(size=1, fault=once(("track", 7, DIE))), StandInClient(30)
    pool.unstartable = {0}
    with pytest.raises(ExecutorError, match="no worker could be started again for 300 s"):
        run(pool, client)
    assert isinstance(client.endings[0], ExecutorError)
    assert client.delivered == list(range(7))


def test_a_worker_that_dies_while_it_starts_is_started_again(run):
    deaths = [DIE]
    pool = StandInPool(size=1)

    def fault(asked):
        if asked.kind == "replace" and deaths:
            from persamhq_video.executors.workers.worker_pool import WorkerLostError

            deaths.pop()
            return WorkerLostError("it died while it started")
        return first(asked)

    first = once(("track", 7, DIE))
    pool.fault = fault
    client = StandInClient(30)
    run(pool, client)
    assert_complete(client)
    assert pool.replacements[0] == 2


def test_another_fingerprint_of_a_new_worker_ends_the_job(run):
    first = once(("track", 7, DIE))
    refusal = ExecutorError("it would compute other numbers")
    pool = StandInPool(fault=lambda asked: refusal if asked.kind == "replace" else first(asked))
    client = StandInClient(30)
    with pytest.raises(ExecutorError, match="other numbers"):
        run(pool, client)
    assert client.endings == [refusal]


def random_mishaps(seed):
    """A pool and clients of every size, and anything that can go wrong, any number of times."""
    random = Random(seed)
    num_videos, frames = random.randint(1, 4), random.randint(1, 70)
    mishaps = {
        (random.choice(["encode", "track", "begin"]), random.randint(0, frames), random.randint(0, num_videos - 1)): (
            random.choice([DIE, DIE, HANG])
        )
        for _ in range(random.randint(0, 12))
    }
    mishaps |= {("track", random.randint(1, 70), 0): LOSE_STATE for _ in range(random.randint(0, 3))}
    lost = [LOSE_STATE] * random.randint(0, 3)

    def fault(asked):
        if asked.kind == "fetch" and lost and random.random() < 0.3:
            return lost.pop()
        return mishaps.pop((asked.kind, asked.index, asked.video), None)

    pool = StandInPool(
        size=random.randint(1, 4),
        frames_ahead=random.randint(1, 8),
        chained=random.random() < 0.7,
        seed=seed,
        capacity=random.choice([1000, 1000, 2, 1, 0]),
        fault=fault,
    )
    return pool, [StandInClient(frames) for _ in range(num_videos)]


@pytest.mark.parametrize(
    "seeds", [range(50), pytest.param(range(50, 2000), marks=pytest.mark.long)], ids=["some", "many"]
)
def test_anything_that_can_go_wrong(run, seeds):
    for seed in seeds:
        pool, clients = random_mishaps(seed)
        scheduler = run(pool, *clients, call_timeout=20)
        for client in clients:
            if client.endings == [None]:
                assert_complete(client)
            else:
                # A frame that happened to be under way each time
                assert "its worker died or hung 3 times" in str(client.endings[0]), seed
        assert_nothing_left(scheduler, pool)


# States that are lost


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("index", [1, 5, 16, 17, 23])
def test_a_lost_state_is_made_again(run, index, seed):
    pool = StandInPool(seed=seed, fault=once(("track", index, LOSE_STATE)))
    clients = [StandInClient(40), StandInClient(40)]
    scheduler = run(pool, *clients)
    assert_complete(*clients)
    assert_nothing_left(scheduler, pool)
    assert max(Counter(pool.kinds("track", 0)).values()) <= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_that_cannot_be_fetched(run, seed):
    """The fetch that was to make it safe fails; the run neither waits for ever nor repeats more than it must."""
    lost = [LOSE_STATE] * 3
    pool = StandInPool(seed=seed, fault=lambda asked: lost.pop() if asked.kind == "fetch" and lost else None)
    client = StandInClient(100)
    run(pool, client)
    assert_complete(client)


def test_a_state_that_is_lost_each_time_ends_its_video_alone(run):
    pool = StandInPool(fault=always("track", 9, LOSE_STATE))
    clients = [StandInClient(30), StandInClient(30)]
    run(pool, *clients)
    assert "the state was lost 20 times" in str(clients[0].endings[0])
    assert clients[0].delivered == list(range(9))
    assert_complete(clients[1])
