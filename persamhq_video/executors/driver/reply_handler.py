"""Replies of the workers about frames: a first frame begun, a frame encoded, a frame tracked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.in_flight import InFlight
from persamhq_video.executors.driver.recovery import Recovery
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.usage import Tracked
from persamhq_video.executors.workers.feature_store import FeatureFootprint
from persamhq_video.executors.workers.worker_pool import Call, Message, Pool, StateLostError, WorkerLostError
from persamhq_video.protocols.tracker import Beginning

__all__ = ["Handler", "ReplyHandler"]

Handler = Callable[[FrameTask, Message], None]


class ReplyHandler:
    """Moves a frame on by what its worker answered; runs in the scheduler's thread."""

    def __init__(self, pool: Pool, in_flight: InFlight, recovery: Recovery) -> None:
        self._pool, self._in_flight, self._recovery = pool, in_flight, recovery

    def handle(self, task: FrameTask, handler: Handler, message: Message) -> None:
        """Take in the answer to a call about that frame; `handler` is the method for its kind."""
        # A worker that was replaced may answer late; the frame is being made again by then.
        if task.call is None or task.call is not message.call:
            return
        slot = self._in_flight.slot_of(task)
        if isinstance(message.error, WorkerLostError):
            self._recovery.worker_lost(slot, slot.under_way())
            return

        # The call is over.
        task.call = None
        slot.call_answered(task)
        if message.error is None:
            # What has gone well once was not what killed a worker before.
            task.deaths.pop(task.call_kind, None)

        # Of a video that has failed nothing is wanted any more.
        if self._in_flight.video_of(task).failure is not None:
            slot.release(task)
        else:
            handler(task, message)

    def begun(self, task: FrameTask, message: Message) -> None:
        """The first frame gave the target and the first state, or its video fails."""
        video = self._in_flight.video_of(task)
        self._in_flight.release(task)
        video.tasks.remove(task)
        if message.error is not None:
            video.failure = message.error
            return
        beginning = message.value
        assert isinstance(beginning, Beginning)
        first = Tracked(task.frame, beginning.result)
        video.begin(target=beginning.target, state=beginning.state, first=first)

    def encoded(self, task: FrameTask, message: Message) -> None:
        """The features of a frame are on its worker."""
        if message.error is not None:
            self._fail(task, message.error)
            return
        footprint = message.value
        assert isinstance(footprint, FeatureFootprint)
        # What fits is known only now; a single frame is always allowed, as its features can be made again.
        self._in_flight.slot_of(task).capacity = max(1, min(self._pool.frames_ahead, footprint.capacity))
        task.is_encoded = True

    def tracked(self, task: FrameTask, message: Message) -> None:
        """A frame has its result, and its video a new state."""
        video = self._in_flight.video_of(task)
        if isinstance(message.error, StateLostError):
            self._recovery.state_lost(video, message.error)
            return
        if message.error is not None:
            self._fail(task, message.error)
            return
        self._in_flight.release(task)
        is_save_point = video.add_result(task, message.value)
        video.deliver()
        if is_save_point:
            self._save_state(video)

    def _save_state(self, video: VideoInFlight) -> None:
        """Copy the newest state of a video to the driver."""

        def fetched(index: int, message: Message) -> None:
            if message.error is None:
                video.save_state(index, message.value)
            else:
                video.fetch_failed = True

        self._pool.fetch(Call(0, partial(fetched, video.newest_index)), video.state)

    def _fail(self, task: FrameTask, error: BaseException) -> None:
        """The frame has no result; its video ends there, once the frames before it are through."""
        task.error = error
        self._in_flight.release(task)
        self._in_flight.video_of(task).deliver()
