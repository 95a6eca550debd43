"""A sink at work: what it writes aside becomes files of the run once all of it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from persamhq_video.errors import OutputError, PersamHQVideoError
from persamhq_video.io.files import move_into_place
from persamhq_video.result_sink import ResultSink, SinkVideo, SunkFrame
from persamhq_video.rundir import RunDirectory

__all__ = ["sink_failure", "write_files"]


def write_files(
    name: str,
    sink: ResultSink,
    *,
    files: Sequence[str],
    video: SinkVideo,
    frames: Iterator[SunkFrame],
    directory: RunDirectory,
) -> None:
    """Let a sink write the `files` that it announced; what it raises or leaves out is an OutputError that names it."""
    aside = directory.hidden / "sinks" / name
    try:
        if aside.exists():  # a kill left it
            shutil.rmtree(aside)
        for file in files or ("",):
            (aside / file).parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(parents=True, exist_ok=True)
        sink.write(aside, video, frames)
        _check(name, aside, files)
        for file in files:
            move_into_place(aside / file, directory.claim(file))
    except PersamHQVideoError:
        raise
    except Exception as exc:
        raise sink_failure(name, exc) from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sink_failure(name: str, exc: BaseException) -> OutputError:
    """The error of a sink that raised something of its own."""
    reason = " ".join(f"{type(exc).__name__}: {exc}".split())
    return OutputError(f"the result sink {name!r} failed: {reason}; the committed frames are kept")


def _check(name: str, aside: Path, files: Sequence[str]) -> None:
    found = {str(path.relative_to(aside).as_posix()) for path in aside.rglob("*") if not path.is_dir()}
    if found != set(files):
        wrong = min(found ^ set(files))
        what = "did not write" if wrong in files else "wrote, and had not announced,"
        raise OutputError(f"the result sink {name!r} {what} {wrong}; the committed frames are kept")
