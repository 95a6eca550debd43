"""The result sink `masks`: the label maps as palette PNGs, masks/<frame>.png."""

from __future__ import annotations

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink


class Masks:
    """masks/<frame's name>.png: a palette PNG a frame, pixel value = object id."""

    keeps_label_maps = True


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `masks`."""
    register.add("masks", Masks)
