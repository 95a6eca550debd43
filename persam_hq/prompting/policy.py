"""The numbers of the procedure, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from persam_hq.errors import InputError


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """Where lite looks for what a prompt means, and how often it looks again.

    box_factor: side of the window, times the longer side of the box (or of a rough mask); point_sides: sides in input
    pixels of the windows around points, tried beside the whole image; point_factor: such a side is at least so many
    times the extent of the points; point_radius: of the disk that stands for a point, in window sides; passes: further
    looks at each mask that comes out, through a window of closer_factor times its box; min_side: no window is smaller,
    in input pixels; followed: so many wide candidates are looked at closer where several masks are wanted, and those
    that overlap more than `alike` (IoU) count as one; distinct: masks that overlap more are not offered side by side.
    """

    box_factor: float = 1.4
    point_sides: tuple[float, ...] = (160.0, 320.0)
    point_factor: float = 1.6
    point_radius: float = 0.1
    passes: int = 3
    closer_factor: float = 1.4
    min_side: float = 96.0
    followed: int = 6
    alike: float = 0.9
    distinct: float = 0.75

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise InputError(f"PromptPolicy.passes is {self.passes}; the masks come from a closer look, so at least 1")
