"""Planning: what can be found wrong with a video before its first frame is tracked and before anything is written.

`check_tasks` needs no torch, so that wrong options and paths are told at once; `plan_video` compares the run that is
asked for with what is in its folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam_hq.io.paths import exists
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, opening
from persamhq_video.io import (
    FrameWindow,
    find_mask_for,
    redact_password,
    sha256_of,
)
from persamhq_video.io.readers.folder import FolderSource, image_files
from persamhq_video.job.prepare import Request, open_request
from persamhq_video.job.sources_and_sinks import FILE_SOURCES, Endpoints, load_endpoints
from persamhq_video.job.tasks import VideoTask
from persamhq_video.output.run_directory import RunDirectory, WantedFiles
from persamhq_video.output.sinks import SinkPlan, plan_sinks
from persamhq_video.plugin.sources import read_plugins
from persamhq_video.protocols.result_sink import SinkVideo

if TYPE_CHECKING:
    from persamhq_video.job.job import Job

__all__ = ["VideoPlan", "check_tasks", "plan_video"]


@dataclass(frozen=True, slots=True, eq=False)
class VideoPlan:
    """A video with everything that is needed to run it; `identity` is what makes two runs the same one."""

    job: Job
    request: Request
    directory: RunDirectory
    sinks: SinkPlan
    identity: dict[str, Any]
    is_done: bool


def check_tasks(config: RunConfig, tasks: Sequence[VideoTask]) -> None:
    """Check a job as far as that needs no torch; a single video's source and mask are opened too."""
    endpoints = load_endpoints(read_plugins(config.plugins), config.blocked_plugins)
    for task in tasks:
        own = config.for_video(task.options)
        FrameWindow(own.start, own.end, own.stride)
        with opening(task.out):
            RunDirectory(task.out).check_place()
        _check_outputs(own, task, endpoints, alone=len(tasks) == 1)
        if len(tasks) == 1:
            with opening(task.video):
                _check_inputs(own, task, endpoints)


def _check_outputs(config: RunConfig, task: VideoTask, endpoints: Endpoints, *, alone: bool) -> None:
    try:
        endpoints.make_sinks(config.outputs)
    except ConfigError as exc:
        raise exc if alone else ConfigError(f"{task.video}: {exc}") from exc


def _check_inputs(config: RunConfig, task: VideoTask, endpoints: Endpoints) -> None:
    """Open the source and the mask of a single video; a live source is opened only once, when it is run."""
    _, kind = endpoints.choose_source(config.source, task.video)
    if kind.is_live:
        find_mask_for(task.video, task.mask)
    else:
        open_request(config, task.video, task.mask, endpoints)


def plan_video(job: Job, request: Request, directory: RunDirectory) -> VideoPlan:
    """Compare with what is in the output folder; nothing is written yet."""
    # Snapshots are torch's; whoever has a job has imported it already
    from persamhq_video.output.snapshots import state_schema

    # The sinks, and the files that they will make
    config, info = job.config, request.source.info
    video = SinkVideo(
        info,
        request.first_masks.ids,
        matte_codec=config.matte_codec,
        start=config.start,
        stride=config.stride,
        numbered_by_source=config.number_frames_by == "source",
    )
    endpoints = load_endpoints(job.plugins, config.blocked_plugins)
    sinks = plan_sinks(endpoints.make_sinks(config.outputs), video)
    if info.is_live:
        _check_live(request, config, sinks)

    # What is in the output folder decides whether there is anything to do
    identity = _identity(job, request, endpoints)
    decision = directory.decide(
        identity,
        schema=state_schema(job.builder.state_types),
        overwrite=config.overwrite,
        no_resume=config.no_resume,
        wanted=WantedFiles(
            files=tuple(sinks.owners),
            labels=sinks.keeps_labels,
            from_scores=sinks.from_scores,
            plugins=frozenset(endpoints.sink_plugins(config.outputs)),
        ),
    )
    # Starting again would remove frames of a live source, which cannot be had a second time
    if decision in {"resume", "restart", "remake"} and info.is_live:
        what = "an unfinished run" if directory.finished is None else "a run that lacks files"
        raise ConfigError(
            f"{directory.path} holds {what} of {request.video}, which cannot be gone on with: what"
            " is live does not come twice; use --overwrite or another --out"
        )
    return VideoPlan(job, request, directory, sinks, identity, is_done=decision == "done")


def _check_live(request: Request, config: RunConfig, sinks: SinkPlan) -> None:
    """Refuse options for which a live source would have to be read by a worker, or a second time."""
    if config.decode == "workers":
        raise ConfigError(f"{request.video} is live, so no worker can decode it too; use --decode driver")
    if sinks.needs_pictures is not None:
        raise ConfigError(
            f"the result sink {sinks.needs_pictures!r} wants the pictures once more, but {request.video} is live;"
            " record it first, or leave this sink out"
        )


def _identity(job: Job, request: Request, endpoints: Endpoints) -> dict[str, Any]:
    """What makes two runs the same one, in values that come back equal from JSON."""
    config, masks = job.config, request.first_masks
    return {
        "config": config.model_dump(mode="json"),
        "fingerprint": job.fingerprint.model_dump(mode="json"),
        "inputs": {
            **_video_identity(request),
            "mask_sha256": sha256_of(request.mask),
            "mask_mapping": dict(masks.mapping),
        },
        "plugins": {**job.origins, **endpoints.origins(config, request.video)},
    }


def _video_identity(request: Request) -> dict[str, str]:
    """The hash of the files; of a source that is no file, the text that it was asked for with."""
    kind = request.source.info.kind
    known = {} if kind in FILE_SOURCES else {"source": kind}
    path = Path(request.video)
    if exists(path) and not request.source.info.is_live:
        source = request.source
        # A folder's source compares what it reads with what was hashed
        digest = source.content_sha256() if isinstance(source, FolderSource) else _hash(path)
        return {"video_sha256": digest, **known}
    return {"video": redact_password(str(request.video)), **known}


def _hash(video: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of a folder's images, or of all its files where it has none."""
    if video.is_file():
        return sha256_of(video)
    files = image_files(video) or sorted(path for path in video.iterdir() if path.is_file())
    listing = "".join(f"{file.name} {sha256_of(file)}\n" for file in files)
    # Names of files may be no text
    return hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()
