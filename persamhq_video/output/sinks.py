"""The sinks of a run: which files each of them will make, settled before the first frame, and how they are written.

A sink writes into a folder of its own beside the results; what it announced is moved into place once it is all there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from persam_hq.io.atomic import move_into_place
from persamhq_video.errors import OutputError, PersamHQVideoError, PluginError
from persamhq_video.foreign import TimedThread, contained, failure_text
from persamhq_video.io import ResultVideoKind, VideoKind
from persamhq_video.output.record_file import RECORD_NAME
from persamhq_video.output.run_directory import LABEL_FOLDER, RunDirectory
from persamhq_video.protocols.result_sink import AnySink, LabelMapSink, ResultSink, SinkFrame, SinkVideo, VideoSink

__all__ = ["SinkPlan", "plan_sinks", "sink_failure", "sinking", "write_files"]


@dataclass(frozen=True, slots=True, eq=False)
class SinkPlan:
    """The files of one video.

    video: what they are made of; keeps_labels: whether label maps are among them; kinds: what is coded frame by frame,
    by file; writers: the sinks that write in the end, by name; owners: the name of the sink of every file.
    """

    video: SinkVideo
    keeps_labels: bool
    kinds: Mapping[str, VideoKind]
    writers: Mapping[str, ResultSink]
    owners: Mapping[str, str]

    @property
    def needs_pictures(self) -> str | None:
        """The name of a sink for which the video has to be decoded once more."""
        return next((name for name, sink in self.writers.items() if sink.needs_pictures), None)

    @property
    def from_scores(self) -> frozenset[str]:
        """The files that cannot be made of label maps alone: those of the end, and videos that show states."""
        shown = {file for file, kind in self.kinds.items() if isinstance(kind, ResultVideoKind)}
        return frozenset(shown | {file for file, sink in self.owners.items() if sink in self.writers})

    def files_of(self, sink: str) -> tuple[str, ...]:
        """The files that a sink has announced."""
        return tuple(file for file, owner in self.owners.items() if owner == sink)


def plan_sinks(sinks: Mapping[str, AnySink], video: SinkVideo) -> SinkPlan:
    """Ask every sink for its files; a name that is taken or leads out of the folder is a PluginError."""
    kinds: dict[str, VideoKind] = {}
    owners: dict[str, str] = {}
    for name, sink in sinks.items():
        found = _files_and_kinds(name, sink, video)
        for file, kind in found:
            # A file is made once: by one sink, and named once by it
            _check_name(name, file)
            if owners.setdefault(file, name) != name or sum(other == file for other, _ in found) > 1:
                raise PluginError(f"the file {file} is made twice: by the result sinks {owners[file]!r} and {name!r}")
            if kind is not None:
                kinds[file] = kind
    return SinkPlan(
        video=video,
        keeps_labels=any(isinstance(sink, LabelMapSink) and sink.keeps_label_maps for sink in sinks.values()),
        kinds=kinds,
        writers={name: sink for name, sink in sinks.items() if isinstance(sink, ResultSink)},
        owners=owners,
    )


def _files_and_kinds(name: str, sink: AnySink, video: SinkVideo) -> list[tuple[str, VideoKind | None]]:
    def failed(reason: str, error: BaseException) -> PluginError:
        del error
        return PluginError(f"the result sink {name!r} cannot name its files: {reason}")

    with contained(f"the result sink {name!r}", failed, passing=(PersamHQVideoError,)):
        return list(_announced(sink, video))


def _announced(sink: AnySink, video: SinkVideo) -> Iterator[tuple[str, VideoKind | None]]:
    if isinstance(sink, VideoSink):
        yield from sink.videos(video).items()
    if isinstance(sink, ResultSink):
        yield from ((file, None) for file in sink.files(video))


def _check_name(sink: str, file: object) -> None:
    if not _is_plain(file):
        raise PluginError(
            f"the result sink {sink!r} wants to write {file!r}; expected a name such as 'boxes.json' or 'boxes/1.json',"
            f" not {RECORD_NAME}, nothing hidden and nothing in {LABEL_FOLDER}/"
        )


def _is_plain(file: object) -> bool:
    """Whether a name is a path below the folder of the run, and none that the run itself uses."""
    if not isinstance(file, str) or not file.isprintable() or "\\" in file:
        return False
    parts = file.split("/")
    # An empty part is a slash at the start, at the end or twice.
    is_below = all(part and not part.startswith(".") for part in parts)
    return is_below and file != RECORD_NAME and parts[0] != LABEL_FOLDER


def write_files(
    name: str,
    sink: ResultSink,
    *,
    files: Sequence[str],
    video: SinkVideo,
    frames: Iterator[SinkFrame],
    directory: RunDirectory,
    limit: float | None = None,
) -> None:
    """Let a sink write the `files` that it announced; what it raises or leaves out is an OutputError that names it.

    limit: seconds that it may take for a frame, and after the last one.
    """
    staging = directory.hidden / "sinks" / name
    try:
        # An empty folder of its own, with the folders of the announced files in it
        if staging.exists():  # a kill left it
            shutil.rmtree(staging)
        for file in files or ("",):
            (staging / file).parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(parents=True, exist_ok=True)

        # All of the files, or none of them
        with TimedThread(f"the result sink {name!r}", limit=limit) as thread:

            def write() -> None:
                with sinking(name):
                    sink.write(staging, video, _watched(frames, thread))

            thread.call(write)
        _check_written(name, staging, files)
        for file in files:
            move_into_place(staging / file, directory.claim(file))
    except PersamHQVideoError:
        raise
    except Exception as exc:
        raise sink_failure(name, exc) from exc
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _watched(frames: Iterator[SinkFrame], thread: TimedThread) -> Iterator[SinkFrame]:
    """The frames; that one more is asked for shows that the sink gets on."""
    for frame in frames:
        thread.alive()
        yield frame
    thread.alive()


def sinking(name: str) -> AbstractContextManager[None]:
    """Whatever a sink raises inside becomes an OutputError that names it."""
    return contained(
        f"the result sink {name!r}", lambda _, error: sink_failure(name, error), passing=(PersamHQVideoError,)
    )


def sink_failure(name: str, exc: BaseException) -> OutputError:
    """The error of a sink that raised something of its own."""
    reason = failure_text(exc)
    return OutputError(f"the result sink {name!r} failed: {reason}; the committed frames are kept")


def _check_written(name: str, staging: Path, files: Sequence[str]) -> None:
    """What a sink wrote is what it had announced."""
    found = {str(path.relative_to(staging).as_posix()) for path in staging.rglob("*") if not path.is_dir()}
    if found != set(files):
        wrong = min(found ^ set(files))
        what = "did not write" if wrong in files else "wrote, and had not announced,"
        raise OutputError(f"the result sink {name!r} {what} {wrong}; the committed frames are kept")
