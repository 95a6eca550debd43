"""The numbers of prompting on lite: sizes of windows, passes, and when two masks count as the same."""

from __future__ import annotations

from dataclasses import dataclass

from persam_hq.errors import InputError


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """Which windows lite sees a prompt through, how many passes refine each mask, and which masks are returned.

    box_factor: side of the window around a box or a rough mask, times its longer side; above 1 leaves room around it.
    point_sides: sides, in input pixels, of the windows around points; the whole image is always tried beside them.
    point_factor: such a side is at least so many times the extent of the points.
    point_radius: radius of the disk that stands for a point, as a share of the window's side; training draws 0.06 to
    0.16.
    passes: refining passes per mask, at least 1.
    closer_factor: side of a refining pass's window, times the longer side of the mask's box.
    min_side: side of the smallest window, in input pixels, as in tracking.
    followed: how many candidates of the first pass are refined where several masks are wanted.
    alike: candidates that overlap more (IoU, 0 to 1) count as one and are refined once.
    distinct: masks that overlap more (IoU, 0 to 1) are not returned side by side.
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
