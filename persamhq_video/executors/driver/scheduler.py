"""The driver's loop: frames of several videos in flight on one pool of workers, results delivered in order.

Features stay where they were made; the small state travels. Encoding runs ahead on every worker as far as its memory
allows, each video has one `track` under way, on the worker that holds the frame's features, and what is lost with a
worker is made again (`recovery`). Nothing here computes on frames, and nothing waits but for the pool's mailbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from queue import Empty
from typing import Final

from persamhq_video.executors.client import CallKind, Client
from persamhq_video.executors.driver.endings import Endings
from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.in_flight import InFlight
from persamhq_video.executors.driver.placement import choose_home_worker, choose_slot
from persamhq_video.executors.driver.prefetch import Prefetcher
from persamhq_video.executors.driver.recovery import Recovery
from persamhq_video.executors.driver.reply_handler import Handler, ReplyHandler
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import AwakeClock, Clock, WorkerSlot
from persamhq_video.executors.usage import TotalUsage
from persamhq_video.executors.workers.worker_pool import Call, Message, Pool, StateLostError

__all__ = ["Scheduler"]

_MAX_BACKLOG: Final = 16
"""Results that may wait to be written before a video gets no further frames: two saved states' worth, so that memory is
bounded by the slowest writer."""
_WATCH_SECONDS: Final = 0.5
"""How long the loop waits for a message, and so how late a call that hangs or a client that failed is noticed."""
_CLIENT_POLL_SECONDS: Final = 0.02
"""The same while a client has results to write: that it has written some comes with no message."""


class Scheduler:
    """Runs the videos of clients on a pool, as many at once as there are workers.

    call_timeout: seconds after which a call counts as hanging. numbers: name the videos to the workers, each once.
    clock: seconds, by default those in which the process ran. prefetcher: decodes the frames of a video ahead.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        call_timeout: float,
        numbers: Iterator[int],
        clock: Clock | None = None,
        prefetcher: type[Prefetcher] = Prefetcher,
    ) -> None:
        self._pool, self._numbers, self._prefetcher = pool, numbers, prefetcher
        clock = clock or AwakeClock()
        slots = [WorkerSlot(number, capacity=pool.frames_ahead, clock=clock) for number in range(pool.size)]
        self._in_flight = InFlight(slots)
        self._recovery = Recovery(pool, self._in_flight, call_timeout=call_timeout, clock=clock)
        self._replies = ReplyHandler(pool, self._in_flight, self._recovery)
        self._endings = Endings(pool, self._in_flight, clock=clock)
        self._stopping = False
        self._waits_for_client = False

    def stop(self) -> None:
        """End every video where it is, from whatever thread; `run` then returns."""
        self._stopping = True
        self._wake()

    def run(self, clients: Iterator[Client]) -> None:
        """Run every client's video to its end; each client is told how that came."""
        try:
            while not self._stopping:
                self._admit(clients)
                if not self._in_flight.videos and not self._in_flight.closing:
                    return
                self._waits_for_client = False
                # Tracking comes first: a chain that stands still cannot be made up for, encoding runs ahead anyway.
                self._advance()
                self._place()
                self._listen()
                self._recovery.watch()
                self._endings.retire()
            self._endings.interrupt(self._listen)
        except BaseException as exc:
            self._endings.end_all(exc)
            raise

    # Videos come in

    def _admit(self, clients: Iterator[Client]) -> None:
        """Take up videos, as many as there are workers."""
        in_flight = self._in_flight
        while len(in_flight.videos) < len(in_flight.slots):
            client = next(clients, None)
            if client is None:
                return
            try:
                video = self._begin(client)
            except Exception as exc:  # noqa: BLE001 - of this video; the others have nothing to do with it
                client.ended(TotalUsage({}, {}, ()), exc)
                continue
            video.home_worker = choose_home_worker(in_flight.slots, in_flight.videos.values())
            in_flight.videos[video.number] = video

    def _begin(self, client: Client) -> VideoInFlight:
        """Start to decode a video, and announce it to the workers."""
        prefetcher = self._prefetcher(client.frames, wake=self._wake)
        video = VideoInFlight(next(self._numbers), client, prefetcher, chained=self._pool.chained)
        try:
            self._pool.announce(video.number, client.source)
        except BaseException:
            prefetcher.close()
            raise
        return video

    # Frames are encoded

    def _place(self) -> None:
        """Give frames to workers with room, one per video in turn, until there is a message to take in.

        Sending a frame takes milliseconds, in which a video's chain would stand still.
        """
        without_frame = 0
        while without_frame < len(self._in_flight.videos):
            video = self._in_flight.next_turn()
            task = self._next_unplaced(video)
            if task is None or not self._encode(task, video):
                without_frame += 1
                continue
            without_frame = 0
            if not self._pool.mailbox.empty():
                return

    def _next_unplaced(self, video: VideoInFlight) -> FrameTask | None:
        """The next frame of a video that no worker has; taken from the prefetcher if need be."""
        if video.finished:
            return None

        # Frames that were lost with their worker come before new ones, suspect ones first: workers stand idle for them.
        unplaced = (task for task in video.tasks if task.worker is None and task.error is None)
        task = min(unplaced, key=lambda task: not task.suspect, default=None)
        if task is not None:
            return task

        # A new frame is taken only if it is of use now: the first one gives the target that the others need, ...
        if not video.has_begun and video.tasks:
            return None
        # ... one more needs room on a worker, ...
        if all(slot.free <= 0 for slot in self._in_flight.slots):
            return None
        # ... and its result has to be written some time.
        if video.client.backlog > _MAX_BACKLOG:
            self._waits_for_client = True
            return None
        frame = video.next_frame()
        return None if frame is None else video.add(frame)

    def _encode(self, task: FrameTask, video: VideoInFlight) -> bool:
        """Ask a worker to encode a frame, or to begin with it; False where none takes it now."""
        # Choose the worker.
        slots = self._in_flight.slots
        slot = choose_slot(task, video, slots, spread=len(self._in_flight.videos) < len(slots))
        if slot is None or not slot.accepts(task):
            return False
        task.worker = video.last_worker = slot.number
        slot.holding.add(task)

        # Send the frame.
        video.client.begun("encode", task.index)
        if video.has_begun:
            call = self._call(task, "encode", self._replies.encoded)
            self._pool.encode(call, video.number, task.frame)
        else:
            call = self._call(task, "encode", self._replies.begun)
            self._pool.begin(call, video.number, task.frame, video.client.labels)
        return True

    # Frames are tracked

    def _advance(self) -> None:
        """Track what can be tracked, but not too far beyond what is on the disk."""
        for video in self._in_flight.videos.values():
            if not video.has_begun or video.failure is not None:
                continue
            for task in list(video.trackable()):
                if video.may_track(task):
                    self._track(task, video)
                    continue
                self._waits_for_client = True
                # The state that it waits for will never be on the disk.
                if video.fetch_failed:
                    self._recovery.state_lost(video, StateLostError("it could not be fetched"))

    def _track(self, task: FrameTask, video: VideoInFlight) -> None:
        """Ask the worker that holds a frame's features to track it, unless it works on a suspect frame."""
        if self._in_flight.slot_of(task).accepts(task):
            video.client.begun("track", task.index)
            call = self._call(task, "track", self._replies.tracked)
            task.next_state = self._pool.track(
                call, video.number, target=video.target, state=video.state, index=task.index
            )

    # Calls and replies

    def _call(self, task: FrameTask, kind: CallKind, handler: Handler) -> Call:
        """A call about a frame; its reply is taken in once, and only while the frame waits for it."""
        slot = self._in_flight.slot_of(task)
        self._in_flight.stop_waiting(task)
        slot.call_sent(task, kind)
        task.call = Call(slot.number, partial(self._replies.handle, task, handler))
        return task.call

    def _listen(self) -> None:
        """Wait for something to happen, and take in all that has."""
        try:
            timeout = _CLIENT_POLL_SECONDS if self._waits_for_client else _WATCH_SECONDS
            _take_in(self._pool.mailbox.get(timeout=timeout))
            while True:
                _take_in(self._pool.mailbox.get_nowait())
        except Empty:
            return

    def _wake(self) -> None:
        """End the wait of `_listen`."""
        self._pool.mailbox.put(Message(None))


def _take_in(message: Message) -> None:
    # An interrupt in a worker thread is one of the whole process, not of a frame.
    if message.error is not None and not isinstance(message.error, Exception):
        raise message.error
    if message.call is not None:
        message.call.answer(message)
