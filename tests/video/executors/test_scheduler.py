"""Every decision of the driver's loop, on workers that answer in a fixed order and fail on command."""

import weakref
from collections import Counter
from random import Random

import pytest
from stand_in_pool import DIE, HANG, LOSE_STATE, StandInClient, StandInPool, follow

from persamhq_video.errors import ExecutorError, OutputError
from persamhq_video.executors.client import Continuation
from persamhq_video.executors.executor import Executor

SEEDS = range(8)


@pytest.fixture
def run(monkeypatch):
    return lambda pool, *clients, **options: follow(monkeypatch, pool, *clients, **options)


def once(*faults):
    """Each fault, a (kind, frame, what happens), strikes the first time that work is done."""
    left = {(kind, index): fault for kind, index, fault in faults}
    return lambda asked: left.pop((asked.kind, asked.index), None)


def always(kind, index, fault, *, video=0):
    return lambda asked: fault if (asked.kind, asked.index, asked.video) == (kind, index, video) else None


def assert_complete(*clients):
    for client in clients:
        assert client.endings == [None]
        first = 0 if client.continuation is None else client.continuation.next_index
        assert client.delivered == list(range(first, client.num_frames))


def assert_nothing_left(scheduler, pool):
    """No worker is left with work or features, and none waits for a frame that is through."""
    for desk in scheduler._desks:
        assert not desk.holding
        assert not desk.waiting_alone
        assert desk.idle
    assert all(not worker.kept for worker in pool.workers)


# Without a mishap


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
@pytest.mark.parametrize("room", [1000, 3, 1, 0])
def test_no_worker_holds_more_than_fits(run, room, seed):
    pool = StandInPool(size=2, frames_ahead=4, room=room, seed=seed)
    client = StandInClient(40)
    run(pool, client)
    assert_complete(client)
    # What a worker has room for is known once it has encoded a frame.
    assert max(pool.most_kept.values()) <= 4
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
        client.snapshots += waiting if not any(worker.lanes["track"] for worker in pool.workers) else []
        return monkey_step()

    pool.step = step
    run(pool, client)
    assert_complete(client)
    assert max(again) <= 16


# Workers that are lost


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
            lanes = pool.workers[asked.worker].lanes
            alone.append(not lanes["encode"] and not lanes["track"])
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


def test_a_frame_at_which_workers_hang_is_given_up(run):
    pool = StandInPool(fault=always("track", 9, HANG))
    clients = [StandInClient(30), StandInClient(30)]
    run(pool, *clients, call_timeout=20)
    assert "frame 9: its worker died or hung 3 times" in str(clients[0].endings[0])
    assert_complete(clients[1])
    assert sum(pool.replacements.values()) == 3


def test_a_long_queue_is_no_hanging_worker(run):
    """Each call has the whole time, however long the ones before it took together."""
    pool = StandInPool(size=1, frames_ahead=8)

    def slow(asked):
        if asked.kind == "encode" and not pool.workers[0].lanes["track"]:
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
            from persamhq_video.executors.pool import WorkerLostError

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
        room=random.choice([1000, 1000, 2, 1, 0]),
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


# Videos that fail, and jobs that are stopped


def test_an_interrupt_before_the_first_video(monkeypatch):
    """The handler may be called between the start of the workers and the first frame."""
    pool, client = StandInPool(), StandInClient(30)
    executor = Executor(pool, call_timeout=60)
    executor.stop()
    executor.run([client])
    assert pool.asked == []


@pytest.mark.parametrize("kind", ["begin", "encode", "track"])
def test_an_error_of_the_work_ends_its_video_alone(run, kind):
    index = 0 if kind == "begin" else 9
    pool = StandInPool(fault=always(kind, index, ExecutorError(f"{kind} failed")))
    clients = [StandInClient(30), StandInClient(30), StandInClient(30)]
    scheduler = run(pool, *clients)
    assert str(clients[0].endings[0]) == f"{kind} failed"
    assert clients[0].delivered == list(range(index))
    assert_complete(*clients[1:])
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("chained", [True, False])
def test_a_source_that_breaks_off(run, chained):
    broken = OutputError("the source broke off")
    client, other = StandInClient(9, source_error=broken), StandInClient(30)
    run(StandInPool(chained=chained), client, other)
    assert client.delivered == list(range(9))
    assert client.endings == [broken]
    assert_complete(other)


def test_a_source_without_a_frame(run):
    broken = OutputError("nothing in it")
    client = StandInClient(0, source_error=broken)
    run(StandInPool(), client)
    assert client.endings == [broken]


def test_a_full_disk_ends_its_video_alone(run):
    pool, clients = StandInPool(), [StandInClient(40), StandInClient(40), StandInClient(40)]
    full = OutputError("no space left")

    def deliver(index):
        if index == 9:
            clients[0].failure = full

    clients[0].on_deliver = deliver
    scheduler = run(pool, *clients)
    assert clients[0].endings == [full]
    assert len(clients[0].delivered) < 20
    assert_complete(*clients[1:])
    assert_nothing_left(scheduler, pool)


def test_a_suspect_frame_of_a_video_that_fails_holds_nobody_up(run):
    pool, clients = StandInPool(size=2), [StandInClient(60), StandInClient(60)]
    first = once(("encode", 9, DIE))

    def fault(asked):
        found = first(asked)
        if found == DIE:
            clients[asked.video].failure = OutputError("no space left")
        return found

    pool.fault = fault
    scheduler = run(pool, *clients)
    assert sorted(len(client.delivered) == 60 for client in clients) == [False, True]
    assert_nothing_left(scheduler, pool)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chained", [True, False])
def test_stopping_keeps_the_newest_state(run, chained, seed):
    pool, client, other = StandInPool(chained=chained, seed=seed), StandInClient(100), StandInClient(100)
    holder = []
    client.on_deliver = lambda index: holder[0].stop() if index == 37 else None
    run(pool, client, other, before=holder.append)
    assert isinstance(client.endings[0], KeyboardInterrupt)
    assert isinstance(other.endings[0], KeyboardInterrupt)
    assert len(client.endings) == 1
    last, state = client.snapshots[-1]
    assert client.delivered[-1] - last <= 1
    assert state == (tuple(range(last + 1)) if chained else (0,))


def test_stopping_does_not_wait_for_a_worker_that_hangs(run):
    pool, client = StandInPool(size=1, fault=once(("track", 20, HANG))), StandInClient(100)
    holder = []
    client.on_deliver = lambda index: holder[0].stop() if index == 19 else None
    run(pool, client, before=holder.append)
    assert isinstance(client.endings[0], KeyboardInterrupt)


def test_an_interrupt_in_a_worker_ends_everything(run):
    pool = StandInPool(fault=once(("track", 9, KeyboardInterrupt())))
    clients = [StandInClient(30), StandInClient(30)]
    with pytest.raises(KeyboardInterrupt):
        run(pool, *clients)
    assert all(isinstance(client.endings[0], KeyboardInterrupt) for client in clients)


# Memory


def test_frames_are_let_go(monkeypatch):
    """While a video is followed, no more frames are alive than are under way or may have to be tracked again."""
    import stand_in_pool

    alive = weakref.WeakSet()
    original = stand_in_pool.make_frame

    class Image(stand_in_pool.np.ndarray):
        """With a hash, which a set wants."""

        __hash__ = object.__hash__

    def make_frame(index):
        frame = original(index)
        image = frame.image.view(Image)
        alive.add(image)
        return type(frame)(frame.index, frame.pts, frame.time_base, image, frame.name)

    monkeypatch.setattr(stand_in_pool, "make_frame", make_frame)
    pool, client = StandInPool(size=2, frames_ahead=4), StandInClient(200)
    counts = []

    def count(index):
        pool.asked.clear()
        pool.done.clear()
        counts.append(len(alive))

    client.on_deliver = count
    follow(monkeypatch, pool, client)
    assert_complete(client)
    assert max(counts) <= 2 * 4 + 16 + 4
