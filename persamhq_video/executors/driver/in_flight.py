"""The scheduler's tables: slots of the workers and videos in flight, looked up by the numbers that a frame task has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import WorkerSlot

__all__ = ["InFlight"]


class InFlight:
    """slots: by worker number. videos: by their number, in the order of their turns at a free worker.

    closing: videos whose frames are through and whose workers have not all told their usage.
    """

    def __init__(self, slots: Sequence[WorkerSlot]) -> None:
        self.slots = slots
        self.videos: OrderedDict[int, VideoInFlight] = OrderedDict()
        self.closing: dict[int, VideoInFlight] = {}

    @property
    def ready_slots(self) -> list[WorkerSlot]:
        """The workers that take calls; the others are being replaced."""
        return [slot for slot in self.slots if slot.ready]

    def all_videos(self) -> Iterator[VideoInFlight]:
        """Every video whose client has not been told of its end."""
        yield from [*self.videos.values(), *self.closing.values()]

    def next_turn(self) -> VideoInFlight:
        """The video whose turn it is; all others have theirs before it has another."""
        number, video = next(iter(self.videos.items()))
        self.videos.move_to_end(number)
        return video

    def video_of(self, task: FrameTask) -> VideoInFlight:
        """The video of a frame, which is under way as long as any call about the frame is."""
        return self.videos[task.video]

    def slot_of(self, task: FrameTask) -> WorkerSlot:
        """The worker that a frame was placed on."""
        assert task.worker is not None, "the frame was not placed"
        return self.slots[task.worker]

    def release(self, task: FrameTask) -> None:
        """No worker holds the frame or waits for it any more."""
        self.stop_waiting(task)
        if task.worker is not None:
            self.slots[task.worker].release(task)

    def stop_waiting(self, task: FrameTask) -> None:
        """A suspect frame may have waited for one worker to be idle before it was sent to another one."""
        for slot in self.slots:
            slot.suspects_waiting.discard(task)
