"""The result sink `mattes`: one video per object, white on black, mattes/<id>.mp4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkVideo

if TYPE_CHECKING:
    from persamhq_video.io import MatteCodec


class Mattes:
    """mattes/<id>.mp4: one video an object, white on black (codec: --matte-codec)."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """See VideoSink."""
        from persamhq_video.io import MATTE_SUFFIXES, Matte

        codec = cast("MatteCodec", video.matte_codec)
        return {f"mattes/{i}{MATTE_SUFFIXES[codec]}": Matte(i, codec=codec) for i in video.object_ids}


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `mattes`."""
    register.add("mattes", Mattes)
