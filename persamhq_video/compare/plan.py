"""The plan of a comparison: options, files and models checked before the first frame is tracked; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persamhq_video.compare.annotations import Annotations, open_annotations
from persamhq_video.compare.contenders import Contender, check_contenders
from persamhq_video.compare.folder import ComparisonFolder
from persamhq_video.errors import ConfigError, PersamHQVideoError
from persamhq_video.io import FrameWindow
from persamhq_video.job.prepare import Request, make_job, open_request
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.plugin.sources import read_plugins

if TYPE_CHECKING:
    from persamhq_video.compare.shared_tracker import SharedJob
    from persamhq_video.job.job import Job

__all__ = ["ComparisonPlan", "plan_comparison"]


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonPlan:
    """A video, the strategies to compare on it, its annotations if there are any, and the folder for the results."""

    contenders: tuple[Contender, ...]
    request: Request
    annotations: Annotations | None
    folder: ComparisonFolder
    job: SharedJob


def plan_comparison(
    contenders: Sequence[Contender], *, video: Path, mask: str | Path, out: Path, annotations: Path | None = None
) -> ComparisonPlan:
    """Check options, files and models, in this order: what is cheap to find comes first."""
    # Options and the output folder
    check_contenders(contenders)
    config = contenders[0].config
    folder = ComparisonFolder(out, [contender.name for contender in contenders])
    folder.check(overwrite=config.overwrite)

    # The video, its mask and its annotations
    endpoints = load_endpoints(read_plugins(config.plugins), config.blocked_plugins)
    if endpoints.choose_source(config.source, video)[1].is_live:
        raise ConfigError(f"{video}: a live source comes once, and cannot be compared on; record it first")
    request = open_request(config, video, mask, endpoints)
    window = FrameWindow(config.start, config.end, config.stride)
    truth = None if annotations is None else open_annotations(annotations, request.source, window)

    # The models, last: they take seconds to load
    return ComparisonPlan(tuple(contenders), request, truth, folder, _shared_job(contenders))


def _shared_job(contenders: Sequence[Contender]) -> SharedJob:
    # Torch takes seconds to import; wrong paths are reported before.
    from persamhq_video.compare.shared_tracker import SharedJob

    jobs = [_job(contender) for contender in contenders]
    for contender, job in zip(contenders, jobs, strict=True):
        if differences := job.fingerprint.differences(jobs[0].fingerprint):
            raise ConfigError(
                f"--try {contender.name}: would not share features with {contenders[0].name}: {differences}"
            )
    return SharedJob.of(jobs, [contender.name for contender in contenders])


def _job(contender: Contender) -> Job:
    """The contender's job; its errors name the contender."""
    try:
        return make_job(contender.config)
    except PersamHQVideoError as exc:
        raise type(exc)(f"--try {contender.name}: {exc}") from exc
