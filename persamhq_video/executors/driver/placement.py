"""Which worker takes a frame. No result depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from persamhq_video.executors.driver.frame_task import Item
from persamhq_video.executors.driver.video_in_flight import Follow
from persamhq_video.executors.driver.worker_slot import Desk

__all__ = ["choose_desk", "choose_home"]

_BLOCK: Final = 4
"""Neighbouring frames that go to one worker, so that the state travels once a block."""


def choose_home(desks: Sequence[Desk], videos: Iterable[Follow]) -> Desk:
    """The worker that a new video stays on while there are enough videos for all."""
    homes = [video.home for video in videos]
    return min(desks, key=lambda desk: (not desk.ready, homes.count(desk), desk.number))


def choose_desk(item: Item, desks: Sequence[Desk], *, spread: bool) -> Desk | None:
    """The worker for a frame, None where all are full; the frame that its video waits for always finds one.

    `spread`: there are more workers than videos, so that a video's frames go round them all.
    """
    video, ready = item.video, [desk for desk in desks if desk.ready]
    if not ready:
        return None
    if item.suspect:
        return min(ready, key=lambda desk: (not desk.idle, len(desk.holding)))
    awaited = video.items[0] is item
    if not spread and video.home in ready:
        return video.home if video.home.room > 0 or awaited else None

    last = video.last_desk
    if last is not None and last.room > 0 and item.index % _BLOCK:
        return last
    emptiest = max(ready, key=lambda desk: desk.room)
    return emptiest if emptiest.room > 0 or awaited else None
