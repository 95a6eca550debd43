"""One video under way: its frames between decoding and delivery, and the state that is folded over them.

A chained state mostly lives on the workers. Every few frames it is copied to the driver (the saved state), from where a
state that was lost with its worker is made again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from persamhq_video.errors import DecodeError
from persamhq_video.executors.client import Client
from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.prefetch import Prefetcher
from persamhq_video.executors.usage import TotalUsage, Tracked, Usage
from persamhq_video.types import Frame, FrameResult

__all__ = ["MAX_UNSAVED_FRAMES", "STATE_INTERVAL", "VideoInFlight"]

STATE_INTERVAL: Final = 8
"""Frames between two saved states; a segment of an output video is a whole number of these, so that it ends with one.
Fewer would copy a state of up to 1 MB more often, more would have more frames tracked again after a loss."""
MAX_UNSAVED_FRAMES: Final = 2 * STATE_INTERVAL
"""Frames tracked beyond the last state on the disk, at most: the interval that is being written and the one after it.
However a run ends, no more than these are tracked again."""


class VideoInFlight:
    """The fold over one video's frames; `number` names the video to the workers.

    tasks: decoded and not delivered, in frame order. home_worker: where the video stays while there are enough videos
    for all workers; last_worker: where its last frame was placed.
    failure: why the video ends before its last frame. fetch_failed: the last copy of the state to the driver was lost.
    pending_usages: workers that were asked for their usage at the end and have not answered.
    """

    def __init__(self, number: int, client: Client, prefetcher: Prefetcher, *, chained: bool) -> None:
        self.number, self.client, self.prefetcher, self.chained = number, client, prefetcher, chained
        self.home_worker: int | None = None
        self.last_worker: int | None = None
        self.tasks: deque[FrameTask] = deque()
        self.usages: list[Usage] = []
        self.pending_usages = 0
        self.failure: BaseException | None = None
        self.target: Any = None
        self.has_begun = False
        self.rewinds = 0
        self.fetch_failed = False
        self._state: Any = None
        self._saved: tuple[int, Any] | None = None
        self._unsaved_frames: deque[Frame] = deque()
        self._next_delivered = 0
        self._source_error: BaseException | None = None
        self._source_ended = False

    # Frames come in

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do but to collect the workers' usage."""
        if self.failure is not None:
            return True
        return self.has_begun and self._source_ended and not self.tasks

    def next_frame(self) -> Frame | None:
        """A decoded frame, None where there is none yet or no more.

        An error of the source is kept until the frames before it are through.
        """
        if self._source_ended:
            return None
        frame, ended, error = self.prefetcher.poll()
        if ended:
            self._source_ended = True
            self._source_error = error
            self._fail_in_turn()
        return frame

    def add(self, frame: Frame) -> FrameTask:
        """A new task for a frame that was decoded."""
        task = FrameTask(self.number, frame)
        self.tasks.append(task)
        return task

    def begin(self, *, target: Any, state: Any, first: Tracked) -> None:
        """Take what the first frame gave; a video that is resumed goes on from its client's state instead."""
        self.target, self.has_begun = target, True
        resumed = self.client.continuation
        if resumed is None:
            self._state, self._saved, self._next_delivered = state, (0, state), 1
            self.client.deliver(first)
        else:
            last = resumed.next_index - 1
            self._state, self._saved, self._next_delivered = resumed.state, (last, resumed.state), resumed.next_index
        self._fail_in_turn()

    # Frames are tracked

    @property
    def state(self) -> Any:
        """The state that the next frame is tracked from."""
        return self._state

    @property
    def newest_index(self) -> int:
        """The frame that `state` is the state after."""
        return self._next_index() - 1

    def trackable(self) -> Iterator[FrameTask]:
        """The frames that can be tracked now: only the next one of a chain, else all that are encoded."""
        for task in self.tasks:
            if task.is_trackable:
                yield task
            if self.chained:
                return

    def may_track(self, task: FrameTask) -> bool:
        """Whether a run that is killed during this frame would not have too much to track again."""
        return task.index - self.client.safe_until <= MAX_UNSAVED_FRAMES

    def add_result(self, task: FrameTask, result: FrameResult) -> bool:
        """Take the result of a frame and the state that came with it; whether that state is to be saved now."""
        task.result = result
        if not self.chained:
            return False
        self._state = task.next_state
        self._unsaved_frames.append(task.frame)
        return self.fetch_failed or _is_save_point(task.index)

    # States are saved

    def save_state(self, index: int, state: Any) -> None:
        """Keep the state after frame `index`, by value: a later one that is lost is made again from it."""
        self.fetch_failed = False
        # A state that arrives after a rewind beyond it is of frames that are being tracked again.
        if index < self._next_index():
            self._saved = (index, state)
            while self._unsaved_frames and self._unsaved_frames[0].index <= index:
                self._unsaved_frames.popleft()
            if index < self._next_delivered:
                self.client.snapshot(index, state)

    def save_first_state(self) -> None:
        """Without a chain every frame is tracked from the first state, so all that is delivered is safe with it."""
        assert self._saved is not None
        self.client.snapshot(self._next_delivered - 1, self._saved[1])

    def rewind(self) -> None:
        """Go back to the saved state; the frames since then are encoded and tracked again."""
        assert self._saved is not None
        self.rewinds += 1
        self.fetch_failed = False
        _, self._state = self._saved
        again = [FrameTask(self.number, frame) for frame in self._unsaved_frames]
        self._unsaved_frames.clear()
        self.tasks.extendleft(reversed(again))

    # Results go out

    def deliver(self) -> None:
        """Hand the finished frames to the client, in order; the first frame that failed ends the video."""
        while self.tasks and self.failure is None:
            task = self.tasks[0]
            if task.error is not None:
                self.failure = task.error
            elif task.result is not None:
                self.tasks.popleft()
                # A frame that was tracked again after a rewind may have been delivered before.
                if task.index >= self._next_delivered:
                    self.client.deliver(Tracked(task.frame, task.result))
                    self._next_delivered = task.index + 1
                    if not self.chained and _is_save_point(task.index):
                        self.save_first_state()
            else:
                return
        self._fail_in_turn()

    def end(self, error: BaseException | None) -> None:
        """Stop decoding, and tell the client why the video ended and what the workers did."""
        self.prefetcher.close()
        self.client.ended(TotalUsage.of(self.usages), error)

    def _next_index(self) -> int:
        """The first frame that is not part of the state."""
        if self._unsaved_frames:
            return self._unsaved_frames[-1].index + 1
        return self._saved[0] + 1 if self._saved else 0

    def _fail_in_turn(self) -> None:
        """Once all frames before it are through, an error of the source is the video's."""
        if self._source_ended and not self.tasks and self.failure is None:
            nothing = None if self.has_begun else DecodeError("the source ends before its first frame", frame=0)
            self.failure = self._source_error or nothing


def _is_save_point(index: int) -> bool:
    """Whether the state after that frame is saved."""
    return (index + 1) % STATE_INTERVAL == 0
