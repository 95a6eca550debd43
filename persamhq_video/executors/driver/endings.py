"""The ends of videos: complete, failed, or interrupted; each client is told once, with what the workers did."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from persamhq_video.executors.driver.in_flight import InFlight
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import Clock
from persamhq_video.executors.workers.worker_pool import Call, Message, Pool

__all__ = ["Endings"]

_INTERRUPT_SECONDS: Final = 20.0
"""How long an interrupted job waits for the newest states. They are in reach unless a worker hangs, and whoever pressed
Ctrl-C does not want to wait for that."""


class Endings:
    """Takes videos out of flight, collects the workers' usage, and tells the clients."""

    def __init__(self, pool: Pool, in_flight: InFlight, *, clock: Clock) -> None:
        self._pool, self._in_flight, self._clock = pool, in_flight, clock

    def retire(self) -> None:
        """Take out the videos that are complete, or have failed and have no call under way."""
        videos = list(self._in_flight.videos.values())
        for video in videos:
            video.failure = video.failure or video.client.failure
        for video in videos:
            if not video.finished or any(task.call is not None for task in video.tasks):
                continue
            for task in video.tasks:
                self._in_flight.release(task)
            del self._in_flight.videos[video.number]
            self._close(video)

    def interrupt(self, listen: Callable[[], None]) -> None:
        """End every video as interrupted; `listen` takes in what the workers answer.

        The newest states are saved before, so that a run that goes on from here tracks nothing again.
        """
        # Ask for the newest state of each chain. Without a chain the first one will do, and it is here.
        begun = [video for video in self._in_flight.videos.values() if video.has_begun and video.failure is None]
        pending = {video.number for video in begun if video.chained}
        for video in begun:
            if video.chained:
                save = partial(self._save_last_state, video, video.newest_index, pending)
                self._pool.fetch(Call(0, save), video.state)
            else:
                video.save_first_state()

        # Wait for them, but not for ever.
        deadline = self._clock() + _INTERRUPT_SECONDS
        while pending and self._clock() < deadline:
            listen()
        self.end_all(KeyboardInterrupt())

    def end_all(self, error: BaseException) -> None:
        """Tell every client that its video ended for that reason."""
        for video in self._in_flight.all_videos():
            video.end(error)

    def _close(self, video: VideoInFlight) -> None:
        """Let the workers forget a video, and tell its client once all of them have told their usage."""
        ready = self._in_flight.ready_slots
        if not ready:
            video.end(video.failure)
            return
        self._in_flight.closing[video.number] = video
        video.pending_usages = len(ready)
        for slot in ready:
            self._pool.close_video(Call(slot.number, partial(self._closed, video)), video.number)

    def _closed(self, video: VideoInFlight, message: Message) -> None:
        # The usage of a worker that died meanwhile is lost, which harms nothing but the record.
        if message.error is None:
            video.usages.append(message.value)
        video.pending_usages -= 1
        if not video.pending_usages:
            del self._in_flight.closing[video.number]
            video.end(video.failure)

    @staticmethod
    def _save_last_state(video: VideoInFlight, index: int, pending: set[int], message: Message) -> None:
        if message.error is None:
            video.save_state(index, message.value)
        pending.discard(video.number)
