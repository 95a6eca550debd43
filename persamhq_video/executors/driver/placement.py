"""Placement of videos and frames on workers: a matter of speed alone, since no result depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from persamhq_video.executors.driver.frame_task import FrameTask
from persamhq_video.executors.driver.video_in_flight import VideoInFlight
from persamhq_video.executors.driver.worker_slot import WorkerSlot

__all__ = ["choose_home_worker", "choose_slot"]

_BLOCK_FRAMES: Final = 4
"""Neighbouring frames that go to one worker, so that the state moves once per block instead of once per frame. Half of
what a Ray worker holds ahead (8): while one block is tracked, the next one is encoded."""


def choose_home_worker(slots: Sequence[WorkerSlot], videos: Iterable[VideoInFlight]) -> int:
    """The worker that a new video stays on while there are enough videos for all: ready, with the fewest videos."""
    homes = [video.home_worker for video in videos]
    return min(slots, key=lambda slot: (not slot.ready, homes.count(slot.number), slot.number)).number


def choose_slot(
    task: FrameTask, video: VideoInFlight, slots: Sequence[WorkerSlot], *, spread: bool
) -> WorkerSlot | None:
    """The worker for a frame of `video`, None where all are full.

    The frame that its video waits for always finds one, or its chain would stand still behind frames further ahead.
    `spread`: there are more workers than videos, so each video's frames go round all of them.
    """
    ready = [slot for slot in slots if slot.ready]
    if not ready:
        return None
    if task.suspect:
        # It runs alone, so it goes where the least has to be waited for.
        return min(ready, key=lambda slot: (not slot.idle, len(slot.holding)))
    is_next = video.tasks[0] is task

    # Enough videos for all workers: the video stays at home, and its state never moves.
    home = None if video.home_worker is None else slots[video.home_worker]
    if not spread and home is not None and home.ready:
        return home if home.free > 0 or is_next else None

    # Otherwise the rest of a block follows its first frame, and a new block goes to the emptiest worker.
    last = None if video.last_worker is None else slots[video.last_worker]
    if last is not None and last.free > 0 and task.index % _BLOCK_FRAMES:
        return last
    emptiest = max(ready, key=lambda slot: slot.free)
    return emptiest if emptiest.free > 0 or is_next else None
