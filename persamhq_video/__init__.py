"""Follow objects through a video from the masks of its first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persamhq_video.pipeline.run import personalize_video

__all__ = ["personalize_video"]


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; `persamhq-video --help` and a mistyped path should not wait for it.
    if name == "personalize_video":
        from persamhq_video.pipeline.run import personalize_video

        return personalize_video
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
