"""A pool of workers in this process that answers in a fixed order, fails on command, and checks what it is asked.

Time stands still while there is something to answer; it passes, a second at a time, while nothing is.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from fractions import Fraction
from queue import Empty
from random import Random

import numpy as np

from persamhq_video.executors.driver.scheduler import Scheduler
from persamhq_video.executors.usage import Usage
from persamhq_video.executors.workers.feature_store import FeatureFootprint
from persamhq_video.executors.workers.worker_pool import Message, StateLostError, WorkerLostError
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.types import Frame, FrameResult

DIE, HANG, LOSE_STATE = "die", "hang", "lose state"
IDLE_LIMIT = 5000
"""Seconds in which nothing happens before a test is said to be stuck."""


def make_frame(index):
    return Frame(index, index, Fraction(1, 25), np.zeros((1, 1, 3), np.uint8), f"{index:05d}")


@dataclass(eq=False)
class Asked:
    """A call as the pool remembers it; `kind` is begin, encode, track, fetch, close or replace."""

    kind: str
    worker: int
    video: int
    index: int
    call: object
    work: object = None
    is_late: bool = False


@dataclass(eq=False)
class StandInState:
    """A state that is the list of the frames that went into it, once it is there."""

    frames: tuple[int, ...] | None = None
    lost: bool = False


@dataclass(eq=False)
class StandInWorker:
    encoded: set = field(default_factory=set)
    queues: dict = field(default_factory=lambda: {"encode": deque(), "track": deque()})
    dead: bool = False
    hung: bool = False


class StandInPool:
    """`fault(asked)` says what happens when that call is made: DIE, HANG, LOSE_STATE, an exception, or nothing."""

    replaceable = True

    def __init__(self, *, size=2, frames_ahead=4, chained=True, fault=lambda asked: None, seed=0, capacity=1000):
        self.size, self.frames_ahead, self.chained, self.fault = size, frames_ahead, chained, fault
        self.capacity = capacity
        self.mailbox = StandInMailbox(self)
        self.workers = [StandInWorker() for _ in range(size)]
        self.asked: list[Asked] = []
        self.done: list[Asked] = []
        self.replacements = Counter()
        self.most_encoded = Counter()
        self.most_tracks = Counter()
        self.unstartable = set()
        self.busy_with = "the prompt selector 'mine' (plugin mine.py)"
        self.now = 0.0
        self._random = Random(seed)
        self._others = deque()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    # What the scheduler asks

    def announce(self, video, source):
        pass

    def begin(self, call, video, frame, labels):
        def begun():
            result = FrameResult(frame.index, frame.pts, frame.time_base, frame.name, labels, ())
            return Beginning("target", (frame.index,), result)

        self._ask(Asked("begin", call.worker, video, frame.index, call, begun), "encode")

    def encode(self, call, video, frame):
        worker = self.workers[call.worker]

        def encoded():
            worker.encoded.add((video, frame.index))
            self.most_encoded[call.worker] = max(self.most_encoded[call.worker], len(worker.encoded))
            return FeatureFootprint(1, self.capacity)

        self._ask(Asked("encode", call.worker, video, frame.index, call, encoded), "encode")

    def track(self, call, video, *, target, state, index):
        worker, next_state = self.workers[call.worker], StandInState()
        assert target == "target"
        assert (video, index) in worker.encoded, f"frame {index} is not on worker {call.worker}"

        def tracked():
            frames = self._value(state)
            if self.chained:
                assert frames[-1] == index - 1, f"frame {index} after {frames[-1]}"
            worker.encoded.remove((video, index))
            next_state.frames = (*frames, index)
            return FrameResult(index, index, Fraction(1, 25), f"{index:05d}", np.zeros((1, 1), np.uint8), ())

        self._ask(Asked("track", call.worker, video, index, call, tracked), "track")
        under_way = sum(asked.video == video for each in self.workers for asked in each.queues["track"])
        self.most_tracks[video] = max(self.most_tracks[video], under_way)
        return next_state

    def fetch(self, call, state):
        self._others.append(Asked("fetch", call.worker, -1, -1, call, lambda: self._value(state)))

    def close_video(self, call, video):
        def closed():
            worker = self.workers[call.worker]
            worker.encoded = {key for key in worker.encoded if key[0] != video}
            return Usage({}, {"closed": 1}, call.worker)

        self._others.append(Asked("close", call.worker, video, -1, call, closed))

    def replace(self, call):
        self.replacements[call.worker] += 1
        old = self.workers[call.worker]
        self.workers[call.worker] = StandInWorker()
        # What the old one was asked is answered all the same, and too late.
        for asked in itertools.chain(*old.queues.values()):
            asked.is_late = True
            self._others.append(asked)
        if call.worker not in self.unstartable:
            self._others.append(Asked("replace", call.worker, -1, -1, call, lambda: None))

    def abandon(self, call, kind):
        self.abandoned = call, kind
        return self.busy_with

    # What happens

    def step(self):
        """Answer one call; False where there is none that can be answered."""
        queues = [queue for worker in self.workers if not worker.hung for queue in worker.queues.values() if queue]
        queues += [self._others] if self._others else []
        if not queues:
            return False
        asked = self._random.choice(queues).popleft()
        self._answer(asked)
        return True

    def kinds(self, kind, video=None):
        """The frames that were asked about in that way, in order."""
        return [asked.index for asked in self.asked if asked.kind == kind and video in (None, asked.video)]

    def _ask(self, asked, queue):
        self.asked.append(asked)
        worker = self.workers[asked.worker]
        if worker.dead:
            self.mailbox.put(Message(asked.call, error=WorkerLostError("it was dead before")))
        else:
            worker.queues[queue].append(asked)

    def _answer(self, asked):
        fault = None if asked.is_late else self.fault(asked)
        worker = self.workers[asked.worker]
        if fault == HANG:
            worker.hung = True
            queue = worker.queues["track" if asked.kind == "track" else "encode"]
            queue.appendleft(asked)
        elif fault == DIE and asked.kind in {"begin", "encode", "track"}:
            worker.dead = True
            victims = [asked, *itertools.chain(*worker.queues.values())]
            worker.queues = {"encode": deque(), "track": deque()}
            for victim in victims:
                self.mailbox.put(Message(victim.call, error=WorkerLostError("it died")))
        elif fault == LOSE_STATE:
            self.mailbox.put(Message(asked.call, error=StateLostError("it is gone")))
        elif isinstance(fault, BaseException):
            self.mailbox.put(Message(asked.call, error=fault))
        else:
            self.done.append(asked)
            try:
                self.mailbox.put(Message(asked.call, asked.work()))
            except StateLostError as exc:
                self.mailbox.put(Message(asked.call, error=exc))

    @staticmethod
    def _value(state):
        if isinstance(state, StandInState):
            if state.lost or state.frames is None:
                raise StateLostError("it is gone")
            return state.frames
        return state


class StandInMailbox:
    """Makes the pool work whenever somebody waits."""

    def __init__(self, pool):
        self._pool, self._messages = pool, deque()

    def put(self, message):
        self._messages.append(message)

    def get(self, timeout):
        while not self._messages:
            if not self._pool.step():
                self._pool.now += 1
                assert self._pool.now < IDLE_LIMIT, "the scheduler is stuck"
                raise Empty
        return self._messages.popleft()

    def empty(self):
        return not self._messages

    def get_nowait(self):
        if not self._messages:
            raise Empty
        return self._messages.popleft()


class StandInClient:
    """Remembers what it was told. `source_error` ends its frames after `frames` of them."""

    def __init__(self, frames=12, *, name="", source_error=None, continuation=None):
        self.labels = np.ones((1, 1), np.uint8)
        self.continuation, self.failure, self.backlog, self.source = continuation, None, 0, None
        self.name, self.num_frames, self.source_error = name, frames, source_error
        self.delivered: list[int] = []
        self.snapshots: list[tuple[int, object]] = []
        self.begun_work: list[tuple[str, int]] = []
        self.endings: list[BaseException | None] = []
        self.usage = None
        self.decoded = 0
        self.on_deliver = lambda index: None

    @property
    def safe_until(self):
        before = -1 if self.continuation is None else self.continuation.next_index - 1
        return max([index for index, _ in self.snapshots], default=before)

    def frames(self):
        for index in range(self.num_frames):
            if index == 0 or self.continuation is None or index >= self.continuation.next_index:
                self.decoded += 1
                yield make_frame(index)
        if self.source_error is not None:
            raise self.source_error

    def begun(self, kind, index):
        self.begun_work.append((kind, index))

    def deliver(self, tracked):
        assert tracked.frame.index == tracked.result.index
        self.delivered.append(tracked.result.index)
        self.on_deliver(tracked.result.index)

    def snapshot(self, index, state):
        assert index in self.delivered or self.continuation is not None
        self.snapshots.append((index, state))

    def ended(self, usage, error):
        self.usage = usage
        self.endings.append(error)


class InstantPrefetcher:
    """Every frame is there when it is asked for."""

    def __init__(self, frames, *, wake):
        self._frames, self.closed = frames(), False

    def poll(self):
        try:
            return next(self._frames), False, None
        except StopIteration:
            return None, True, None
        except Exception as exc:  # noqa: BLE001 - whatever it is
            return None, True, exc

    def close(self):
        self.closed = True


def run_clients(pool, *clients, call_timeout=60.0, before=lambda scheduler: None):
    """Run the scheduler to its end, by the clock of the pool; it is returned for a look at what is left."""
    scheduler = Scheduler(
        pool,
        call_timeout=call_timeout,
        numbers=itertools.count(),
        clock=lambda: pool.now,
        prefetcher=InstantPrefetcher,
    )
    before(scheduler)
    scheduler.run(iter(clients))
    return scheduler


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
    for slot in scheduler._in_flight.slots:
        assert not slot.holding
        assert not slot.suspects_waiting
        assert slot.idle
    assert all(not worker.encoded for worker in pool.workers)
