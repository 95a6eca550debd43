"""Which FFmpeg does the reading and writing."""

from __future__ import annotations

import av


def ffmpeg_libraries() -> dict[str, str]:
    """Versions of the FFmpeg libraries that PyAV brings along, by name."""
    return {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
