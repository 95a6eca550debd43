"""The result sink `alpha`: the objects cut out of the source, as alpha.mov."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkVideo


class Alpha:
    """alpha.mov: the objects cut out of the source, ProRes 4444 (only where asked for)."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """See VideoSink."""
        from persamhq_video.io import CutOut

        del video
        return {"alpha.mov": CutOut()}


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `alpha`."""
    register.add("alpha", Alpha)
