"""Videos that fail, and jobs that are stopped: how the driver's loop ends."""

import weakref

import pytest
from stand_ins.pool import (
    DIE,
    HANG,
    StandInClient,
    StandInPool,
    always,
    assert_complete,
    assert_nothing_left,
    once,
    run_clients,
)

from persamhq_video.errors import ExecutorError, OutputError
from persamhq_video.executors.executor import Executor

SEEDS = range(8)


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
    """While a video runs, no more frames are alive than are under way or may have to be tracked again."""
    from stand_ins import pool as stand_in_pool

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
    run_clients(pool, client)
    assert_complete(client)
    assert max(counts) <= 2 * 4 + 16 + 4
