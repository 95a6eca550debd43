"""Recovery from what is lost: workers that die or hang are replaced, and their frames and states are made again.

Features stay on the worker that made them, so they go with it: its frames are encoded again elsewhere. A state that is
gone is folded again from the last one that the driver holds by value.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from persamhq_video.errors import ExecutorError, HangError
from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.in_flight import InFlight
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import Clock, WorkerSlot
from persamhq_video.executors.workers.worker_pool import Call, Message, Pool, StateLostError, WorkerLostError

__all__ = ["Recovery"]

_MAX_DEATHS: Final = 3
"""Workers that may die or hang at the same kind of call on one frame before the frame is given up. A machine that is
switched off or short of memory takes frames with it that are not at fault, but hardly three times the same one."""
_MAX_REWINDS: Final = 20
"""Lost states after which a video is given up. Each loss costs up to 16 frames, and a cluster that loses nodes this
often would never end."""
_NO_WORKER_SECONDS: Final = 300.0
"""How long a job goes on without a single worker: long enough for a new process with its weights, or for memory that
another job holds to come free."""


class Recovery:
    """Replaces the workers of a pool and makes again what went with them; a call longer than `call_timeout` hangs."""

    def __init__(self, pool: Pool, in_flight: InFlight, *, call_timeout: float, clock: Clock) -> None:
        self._pool, self._in_flight = pool, in_flight
        self._call_timeout, self._clock = call_timeout, clock
        self._last_ready = clock()

    def watch(self) -> None:
        """End workers that hang, and the job where there has been no worker for long."""
        # Is there any worker at all?
        if self._in_flight.ready_slots:
            self._last_ready = self._clock()
        elif self._clock() - self._last_ready > _NO_WORKER_SECONDS:
            raise ExecutorError(
                f"no worker could be started again for {_NO_WORKER_SECONDS:.0f} s; see whether the machines have room,"
                " and run the same command again to go on"
            )

        # Does any of them hang? Threads of this process cannot be ended, so there the job is.
        for slot in self._in_flight.slots:
            hanging = slot.hanging(self._call_timeout)
            if hanging and not self._pool.replaceable:
                raise self._hang(min(hanging, key=lambda task: task.index))
            if hanging:
                for task in hanging:
                    task.hangs_in = self._busy_with(task)
                self.worker_lost(slot, hanging)

    def worker_lost(self, slot: WorkerSlot, suspects: list[FrameTask]) -> None:
        """Start another worker in place of one that is gone or hangs; what it held is made again elsewhere.

        suspects: the frames that it was working on.
        """
        for task in suspects:
            self._count_death(task)

        # Its frames go back to just decoded, for any worker to encode.
        lost = slot.clear()
        for task in lost:
            task.reset()
        slot.ready = False
        self._replace(slot)

        # Those that were given up may be their video's next frame, which ends the video.
        for number in sorted({task.video for task in lost}):
            _end_if_given_up(self._in_flight.videos[number])

    def state_lost(self, video: VideoInFlight, error: StateLostError) -> None:
        """Go back to the last state that the driver holds; the frames since then are tracked again."""
        if video.rewinds >= _MAX_REWINDS:
            video.failure = ExecutorError(f"the state was lost {_MAX_REWINDS} times: {error}")
        else:
            video.rewind()

    def _hang(self, task: FrameTask) -> HangError:
        """The error of a call of this process that does not come back."""
        busy = self._busy_with(task) or f"the stage {task.call_kind}"
        return HangError(
            f"frame {task.index}: {busy} hangs: it took more than {self._call_timeout:g} s (--call-timeout); the"
            " committed frames are kept"
        )

    def _busy_with(self, task: FrameTask) -> str | None:
        """What the call under way about a frame is busy with, which is waited for no more."""
        return None if task.call is None else self._pool.abandon(task.call, task.call_kind)

    def _count_death(self, task: FrameTask) -> None:
        """A worker died or hung during a call about that frame, which is given up after the third one of its kind."""
        task.deaths[task.call_kind] += 1
        if task.deaths[task.call_kind] < _MAX_DEATHS:
            return
        if task.hangs_in is not None:
            task.error = ExecutorError(
                f"frame {task.index}: {task.hangs_in} hangs: it took more than {self._call_timeout:g} s"
                f" (--call-timeout), and {_MAX_DEATHS} workers died or hung; the committed frames are kept"
            )
        else:
            task.error = ExecutorError(
                f"frame {task.index}: its worker died or hung {_MAX_DEATHS} times; it may have run out of memory,"
                " try fewer --workers, or the frame itself is at fault"
            )

    def _replace(self, slot: WorkerSlot) -> None:
        self._pool.replace(Call(slot.number, partial(self._replaced, slot)))

    def _replaced(self, slot: WorkerSlot, message: Message) -> None:
        if message.error is None:
            slot.ready = True
        elif isinstance(message.error, WorkerLostError):
            # It died while it started; `watch` ends the job if this goes on.
            self._replace(slot)
        else:
            # Such as a machine whose numbers would differ; no other attempt would go better.
            raise message.error


def _end_if_given_up(video: VideoInFlight) -> None:
    if video.has_begun:
        video.deliver()
    elif video.tasks and video.tasks[0].error is not None:
        video.failure = video.tasks[0].error
