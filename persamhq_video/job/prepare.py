"""Jobs made from options, and the inputs of videos opened.

What is wrong with either is found here, before a frame is tracked and before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persamhq_video.config import RunConfig
from persamhq_video.errors import InputError
from persamhq_video.io import (
    FirstFrame,
    FrameSource,
    LabelMap,
    find_mask_for,
    read_first_masks,
)
from persamhq_video.io.readers.folder import image_files
from persamhq_video.job.machine_limits import check_threads
from persamhq_video.job.sources_and_sinks import Endpoints
from persamhq_video.plugin.sources import read_plugins

if TYPE_CHECKING:
    from persamhq_video.job.job import Job
    from persamhq_video.job.tracker_builder import TrackerBuilder

__all__ = ["Request", "make_job", "open_request", "open_source_within_limit"]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A video that can be read, with the masks of its first frame; `notes` say how both are read."""

    video: Path | str
    mask: Path
    source: FrameSource
    first_masks: LabelMap
    notes: tuple[str, ...] = ()


def open_request(config: RunConfig, video: Path | str, mask: str | Path, endpoints: Endpoints) -> Request:
    """Open the source and read its first masks; an InputError says what is wrong with either."""
    # Whether there is a mask at all is told before a video is opened, which may take its time
    find_mask_for(video, mask)
    source = open_source_within_limit(config, video, endpoints)
    info = source.info

    # The mask of the frame that the run begins with; frames that come live have no numbers yet
    names = tuple(file.stem for file in image_files(Path(video))) if info.kind == "folder" else ()
    first = None if info.is_live else FirstFrame(config.start, names)
    found = find_mask_for(video, mask, first=first)
    if info.kind == "folder":
        _refuse_among_frames(found.path, Path(video))
    masks = read_first_masks(found.path, size=(info.height, info.width))
    return Request(video, found.path, source, masks, notes=(*info.notes, *found.notes, *masks.notes))


def open_source_within_limit(config: RunConfig, video: Path | str, endpoints: Endpoints) -> FrameSource:
    """Open a video, of whatever source; frames of more pixels than the option `max_pixels` allows are refused."""
    source = endpoints.open_source(config, video)
    width, height = source.info.width, source.info.height
    if width * height > config.max_pixels:
        raise InputError(
            f"{video}: frames of {width}x{height} are more than the limit of {config.max_pixels} pixels; raise"
            " --max-pixels if they are meant"
        )
    return source


def _refuse_among_frames(mask: Path, folder: Path) -> None:
    """Refuse a mask that would be tracked as a frame, too."""
    if mask.parent.resolve() == folder.resolve():
        raise InputError(f"{mask}: the mask lies among the frames, and would be one of them; move it out of {folder}")


def make_job(config: RunConfig, *, builder: TrackerBuilder | None = None) -> Job:
    """Decide device, dtype and strategies, and check plugins and weights; `builder` makes the trackers."""
    # Torch and the plugins take seconds to import; wrong paths and numbers are told before
    check_threads(config)
    from persamhq_video.job.fingerprint import measure_fingerprint, resolve_numerics
    from persamhq_video.job.job import Job
    from persamhq_video.job.strategies import choose_strategies, resolve_strategies
    from persamhq_video.job.weights import find_weights
    from persamhq_video.plugin.manager import load_registry
    from persamhq_video.tracking.build import VIDEO_TRACKERS

    builder = builder or VIDEO_TRACKERS

    # The strategies with all their options, which become a part of what makes two runs the same one
    plugins = read_plugins(config.plugins)
    registry = load_registry(plugins, blocked=config.blocked_plugins)
    resolved = resolve_numerics(resolve_strategies(config, registry))
    selector, refiners = choose_strategies(resolved, registry)
    plugin_names = (selector.plugin, *(refiner.plugin for refiner in refiners))
    origins = {name: registry.origin(name) for name in plugin_names}

    # The weights, which may have been named as a download is
    weights = find_weights(resolved, builder)
    if resolved.checkpoint is not None:
        resolved = resolved.model_copy(update={"checkpoint": weights})
    return Job(resolved, measure_fingerprint(resolved, weights), builder, plugins, origins)
