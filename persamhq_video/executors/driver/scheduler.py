"""The driver's loop: frames of several videos in flight on one pool of workers, results handed on in order.

Features stay where they were made; the small state travels. Encoding runs ahead on every worker as far as its memory
allows, one `track` a video is under way, on the worker that holds the frame's features, and what is lost with a worker
is made again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty
from typing import Final

from persamhq_video.errors import ExecutorError
from persamhq_video.executors.client import Client
from persamhq_video.executors.driver.frame_task import Item
from persamhq_video.executors.driver.placement import choose_desk, choose_home
from persamhq_video.executors.driver.prefetch import Decoding
from persamhq_video.executors.driver.video_in_flight import Follow
from persamhq_video.executors.driver.worker_slot import Desk, Lane
from persamhq_video.executors.usage import Tracked
from persamhq_video.executors.workers.feature_store import Kept
from persamhq_video.executors.workers.worker_pool import Begun, Call, Message, Pool, StateLostError, WorkerLostError

__all__ = ["Scheduler"]

_MOST_DEATHS: Final = 3
"""A frame at which so many workers died is given up."""
_MOST_REWINDS: Final = 20
_MOST_BACKLOG: Final = 16
"""Results that wait to be written; beyond that a video gets no further frames."""
_WATCH_SECONDS: Final = 0.5
_SOON_SECONDS: Final = 0.02
"""How often a client that writes is asked whether it has room again."""
_NO_WORKER_SECONDS: Final = 300.0
"""How long a job goes on without a single worker."""
_HALT_SECONDS: Final = 20.0
"""How long an interrupted job waits for the last states."""


class Scheduler:
    """Follows videos, as many at once as there are workers.

    call_timeout: a call that takes more seconds hangs; numbers: what videos are called among the workers, each once.
    """

    def __init__(self, pool: Pool, *, call_timeout: float, numbers: Iterator[int]) -> None:
        self._pool, self._timeout = pool, call_timeout
        self._desks = [Desk(number, most=pool.frames_ahead) for number in range(pool.size)]
        self._active: deque[Follow] = deque()
        self._closing: set[Follow] = set()
        self._numbers = numbers
        self._stopping = False
        self._waits_for_client = False
        self._last_ready = time.monotonic()

    def stop(self) -> None:
        """End every video where it is, from whatever thread; `run` then returns."""
        self._stopping = True
        self._wake()

    def run(self, clients: Iterator[Client]) -> None:
        """Follow every client's video to its end; each is told how that came."""
        try:
            while not self._stopping:
                self._admit(clients)
                if not self._active and not self._closing:
                    return
                self._waits_for_client = False
                self._advance()
                self._place()
                self._listen()
                self._watch()
                self._retire()
            self._halt()
        except BaseException as exc:
            for video in (*self._active, *self._closing):
                video.end(exc)
            raise

    # What is asked of the workers

    def _admit(self, clients: Iterator[Client]) -> None:
        """Take up videos, as many as there are workers."""
        while len(self._active) < len(self._desks):
            client = next(clients, None)
            if client is None:
                return
            decoding = Decoding(client.frames, wake=self._wake)
            video = Follow(next(self._numbers), client, decoding, chained=self._pool.chained)
            self._pool.announce(video.number, client.source)
            video.home = choose_home(self._desks, self._active)
            self._active.append(video)

    def _place(self) -> None:
        """Give frames to workers that have room, one a video in turn, until there is something to take in.

        Sending a frame takes milliseconds, in which a video's chain would stand still.
        """
        idle = 0
        while idle < len(self._active):
            video = self._active[0]
            self._active.rotate(-1)
            item = self._unplaced(video)
            if item is None or not self._encode(item):
                idle += 1
                continue
            idle = 0
            if not self._pool.mailbox.empty():
                return

    def _unplaced(self, video: Follow) -> Item | None:
        """The next frame of a video that no worker has; decoded now if need be."""
        if video.finished:
            return None
        waiting = (item for item in video.items if item.desk is None and item.error is None)
        # A suspect frame first: workers stand idle for it
        item = min(waiting, key=lambda item: not item.suspect, default=None)
        if item is not None:
            return item
        if not video.has_begun and video.items:
            return None
        if all(desk.room <= 0 for desk in self._desks):
            return None
        if video.client.backlog > _MOST_BACKLOG:
            self._waits_for_client = True
            return None
        frame = video.next_frame()
        return None if frame is None else video.add(frame)

    def _encode(self, item: Item) -> bool:
        """Ask a worker to encode a frame, or to begin with it; False where none takes it now."""
        video = item.video
        desk = choose_desk(item, self._desks, spread=len(self._active) < len(self._desks))
        if desk is None or not desk.accepts(item):
            return False
        item.desk = video.last_desk = desk
        desk.holding.add(item)
        video.client.begun("encode", item.index)
        if video.has_begun:
            self._pool.encode(self._call(item, desk.encoding, self._encoded), video.number, item.frame)
        else:
            call = self._call(item, desk.encoding, self._begun)
            self._pool.begin(call, video.number, item.frame, video.client.labels)
        return True

    def _advance(self) -> None:
        """Track what can be tracked."""
        for video in self._active:
            if video.has_begun and video.failure is None:
                for item in list(video.trackable()):
                    if video.may_track(item):
                        self._track(item)
                    else:
                        self._wait_until_safe(video)

    def _wait_until_safe(self, video: Follow) -> None:
        self._waits_for_client = True
        if video.owes_state:
            self._rewind(video, StateLostError("it could not be fetched"))

    def _track(self, item: Item) -> None:
        video, desk = item.video, item.desk
        assert desk is not None
        if desk.accepts(item):
            video.client.begun("track", item.index)
            call = self._call(item, desk.tracking, self._tracked)
            item.coming = self._pool.track(call, video.number, target=video.target, state=video.state, index=item.index)

    def _call(self, item: Item, lane: Lane, answer: Callable[[Item, Message], None]) -> Call:
        """A call about a frame; its answer is taken in once, and only while the frame waits for it."""
        assert item.desk is not None
        self._stop_waiting(item)
        item.desk.ask(item, lane)
        item.call = Call(item.desk.number, partial(self._answered, item, lane, answer))
        return item.call

    # What the workers answer

    def _listen(self) -> None:
        """Wait for something to happen, and take in all that has."""
        try:
            timeout = _SOON_SECONDS if self._waits_for_client else _WATCH_SECONDS
            self._take_in(self._pool.mailbox.get(timeout=timeout))
            while True:
                self._take_in(self._pool.mailbox.get_nowait())
        except Empty:
            return

    @staticmethod
    def _take_in(message: Message) -> None:
        if message.error is not None and not isinstance(message.error, Exception):
            raise message.error
        if message.call is not None:
            message.call.answer(message)

    def _answered(self, item: Item, lane: Lane, answer: Callable[[Item, Message], None], message: Message) -> None:
        desk = item.desk
        if item.call is not message.call or desk is None:
            return  # of a worker that is gone
        if isinstance(message.error, WorkerLostError):
            self._lost(desk, desk.under_way())
            return
        item.call = None
        lane.remove(item)
        if message.error is None:
            # What has gone well once was not what killed a worker before.
            item.deaths.pop(lane.stage, None)
        if item.video.failure is not None:
            desk.release(item)
        else:
            answer(item, message)

    def _begun(self, item: Item, message: Message) -> None:
        video, begun = item.video, message.value
        self._release(item)
        video.items.remove(item)
        if message.error is not None:
            video.failure = message.error
            return
        assert isinstance(begun, Begun)
        video.begin(target=begun.target, state=begun.state, first=Tracked(item.frame, begun.result))

    def _encoded(self, item: Item, message: Message) -> None:
        if message.error is not None:
            self._failed(item, message.error)
            return
        assert isinstance(message.value, Kept)
        assert item.desk is not None
        item.desk.most = max(1, min(self._pool.frames_ahead, message.value.room))
        item.kept = True

    def _tracked(self, item: Item, message: Message) -> None:
        video = item.video
        if isinstance(message.error, StateLostError):
            self._rewind(video, message.error)
            return
        if message.error is not None:
            self._failed(item, message.error)
            return
        self._release(item)
        fetch = video.tracked(item, message.value)
        video.deliver()
        if fetch:
            self._fetch(video)

    def _fetch(self, video: Follow) -> None:
        index = video.newest

        def fetched(message: Message) -> None:
            if message.error is None:
                video.hold(index, message.value)
            else:
                video.owes_state = True

        self._pool.fetch(Call(0, fetched), video.state)

    def _failed(self, item: Item, error: BaseException) -> None:
        """The frame has no result; its video ends there, once the frames before it are through."""
        item.error = error
        self._release(item)
        item.video.deliver()

    def _release(self, item: Item) -> None:
        self._stop_waiting(item)
        if item.desk is not None:
            item.desk.release(item)

    def _stop_waiting(self, item: Item) -> None:
        """A suspect frame may have waited for one worker to be idle before it found another one."""
        for desk in self._desks:
            desk.waiting_alone.discard(item)

    # What goes wrong

    def _watch(self) -> None:
        """Workers that hang are ended; that there is no worker left for long ends the job."""
        if any(desk.ready for desk in self._desks):
            self._last_ready = time.monotonic()
        elif time.monotonic() - self._last_ready > _NO_WORKER_SECONDS:
            raise ExecutorError(
                f"no worker could be started again for {_NO_WORKER_SECONDS:.0f} s; see whether the machines have room,"
                " and run the same command again to go on"
            )
        if not self._pool.replaceable:
            return
        for desk in self._desks:
            hung = desk.hanging(self._timeout)
            if hung:
                self._lost(desk, hung)

    def _lost(self, desk: Desk, suspects: list[Item]) -> None:
        """A worker is gone, or has to go: another one is started, and what it held is made again elsewhere."""
        for item in suspects:
            item.deaths[item.stage] += 1
            if item.deaths[item.stage] >= _MOST_DEATHS:
                item.error = ExecutorError(
                    f"frame {item.index}: its worker died or hung {_MOST_DEATHS} times; it may have run out of memory,"
                    " try fewer --workers, or the frame itself is at fault"
                )
        lost = desk.clear()
        for item in lost:
            item.reset()
        desk.ready = False
        self._pool.replace(Call(desk.number, partial(self._replaced, desk)))
        for video in {item.video for item in lost}:
            self._after_loss(video)

    @staticmethod
    def _after_loss(video: Follow) -> None:
        if video.has_begun:
            video.deliver()
        elif video.items and video.items[0].error is not None:
            video.failure = video.items[0].error

    def _replaced(self, desk: Desk, message: Message) -> None:
        if message.error is None:
            desk.ready = True
        elif isinstance(message.error, WorkerLostError):
            self._pool.replace(Call(desk.number, partial(self._replaced, desk)))
        else:
            raise message.error

    def _rewind(self, video: Follow, error: StateLostError) -> None:
        if video.rewinds >= _MOST_REWINDS:
            video.failure = ExecutorError(f"the state was lost {_MOST_REWINDS} times: {error}")
        else:
            video.rewind()

    # How videos end

    def _retire(self) -> None:
        """Take leave of the videos that are through, or have failed and have nothing under way."""
        for video in self._active:
            video.failure = video.failure or video.client.failure
        for video in [video for video in self._active if video.finished]:
            if any(item.call is not None for item in video.items):
                continue
            for item in video.items:
                self._release(item)
            self._active.remove(video)
            self._close(video)

    def _close(self, video: Follow) -> None:
        ready = [desk.number for desk in self._desks if desk.ready]
        if not ready:
            video.end(video.failure)
            return
        self._closing.add(video)
        video.unanswered_closings = len(ready)

        def closed(message: Message) -> None:
            if message.error is None:
                video.usages.append(message.value)
            video.unanswered_closings -= 1
            if not video.unanswered_closings:
                self._closing.discard(video)
                video.end(video.failure)

        for number in ready:
            self._pool.close_video(Call(number, closed), video.number)

    def _halt(self) -> None:
        """Save the newest states, so that nothing has to be tracked again, and let every video end as interrupted."""
        begun = [video for video in self._active if video.has_begun and video.failure is None]
        for video in begun:
            if not video.chained:
                video.keep_first_state()
        pending = {video for video in begun if video.chained}
        for video in list(pending):
            self._pool.fetch(Call(0, partial(self._halted, video, video.newest, pending)), video.state)
        deadline = time.monotonic() + _HALT_SECONDS
        while pending and time.monotonic() < deadline:
            self._listen()
        for video in (*self._active, *self._closing):
            video.end(KeyboardInterrupt())

    @staticmethod
    def _halted(video: Follow, index: int, pending: set[Follow], message: Message) -> None:
        if message.error is None:
            video.hold(index, message.value)
        pending.discard(video)

    def _wake(self) -> None:
        self._pool.mailbox.put(Message(None))
