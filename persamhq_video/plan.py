"""Everything that can be found wrong before the first frame is tracked, and before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persamhq_video.config import RunConfig
from persamhq_video.io import (
    FrameSource,
    FrameWindow,
    LabelMap,
    find_mask_for,
    open_source,
    read_first_masks,
    sha256_of,
)
from persamhq_video.io.folder import image_files
from persamhq_video.rundir import RunDirectory
from persamhq_video.tasks import VideoTask

if TYPE_CHECKING:
    from persamhq_video.job import Job

__all__ = ["Request", "VideoPlan", "check_tasks", "make_job", "open_request", "plan_video"]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A video that can be read, with the masks of its first frame."""

    video: Path
    mask: Path
    source: FrameSource
    first_masks: LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class VideoPlan:
    """A video with everything that is needed to run it."""

    job: Job
    request: Request
    directory: RunDirectory
    identity: dict[str, Any]
    is_done: bool


def open_request(config: RunConfig, video: Path, mask: str | Path) -> Request:
    """Open the source and read its first masks; an InputError says what is wrong with either."""
    source = open_source(video, reader=config.reader, start=config.start, end=config.end, stride=config.stride)
    mask_path = find_mask_for(video, mask)
    size = (source.info.height, source.info.width)
    return Request(video, mask_path, source, read_first_masks(mask_path, size=size))


def check_tasks(config: RunConfig, tasks: Sequence[VideoTask]) -> None:
    """What can be told wrong with a job without torch; with the files too where it is about a single video."""
    for task in tasks:
        own = config.for_video(task.options)
        FrameWindow(own.start, own.end, own.stride)
        RunDirectory(task.out).check_place()
    if len(tasks) == 1:
        open_request(config.for_video(tasks[0].options), tasks[0].video, tasks[0].mask)


def make_job(config: RunConfig) -> Job:
    """Decide device, dtype and strategies, and check plugins and weights."""
    # Torch and the plugins take seconds to import; wrong paths are told before.
    from persamhq_video.fingerprint import measure_fingerprint, resolve_numerics
    from persamhq_video.job import TRACKER_MODULE, Job, choose_strategies, find_weights, resolve_strategies
    from persamhq_video.plugin.manager import load_registry
    from persamhq_video.plugin.sources import read_plugins

    plugins = read_plugins(config.plugins)
    registry = load_registry(plugins, blocked=config.blocked_plugins)
    resolved = resolve_numerics(resolve_strategies(config, registry))
    selector, refiners = choose_strategies(resolved, registry)
    plugin_names = (selector.plugin, *(refiner.plugin for refiner in refiners))
    origins = {name: registry.origin(name) for name in plugin_names}
    weights = find_weights(resolved, TRACKER_MODULE)
    return Job(resolved, measure_fingerprint(resolved, weights), plugins, origins, TRACKER_MODULE)


def plan_video(job: Job, request: Request, directory: RunDirectory) -> VideoPlan:
    """Compare with what is in the output folder; nothing is written yet."""
    config = job.config
    identity = _identity(job, request)
    decision = directory.decide(identity, overwrite=config.overwrite, no_resume=config.no_resume)
    return VideoPlan(job, request, directory, identity, is_done=decision == "done")


def _identity(job: Job, request: Request) -> dict[str, Any]:
    """What makes two runs the same one; as JSON would give it back."""
    config, masks = job.config, request.first_masks
    return {
        "config": config.model_dump(mode="json"),
        "fingerprint": job.fingerprint.model_dump(mode="json"),
        "inputs": {
            "video_sha256": _hash(request.video),
            "mask_sha256": sha256_of(request.mask),
            "mask_mapping": dict(masks.mapping),
        },
        "plugins": dict(job.origins),
    }


def _hash(video: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of a folder's frames."""
    if video.is_file():
        return sha256_of(video)
    listing = "".join(f"{file.name} {sha256_of(file)}\n" for file in image_files(video))
    return hashlib.sha256(listing.encode()).hexdigest()
