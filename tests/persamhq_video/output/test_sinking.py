"""A sink at work, aside from any run."""

import threading
from fractions import Fraction
from pathlib import Path

import pytest

from persamhq_video.errors import DecodeError, HangError, OutputError
from persamhq_video.output.run_directory import RunDirectory
from persamhq_video.output.sinks import write_files
from persamhq_video.protocols.result_sink import SinkVideo
from persamhq_video.types import SourceInfo

INFO = SourceInfo(Path("x"), "video", 6, 4, Fraction(1, 25), Fraction(25), num_frames=3, rotation=0)


class Sink:
    """Writes what it is told to, the frames among it."""

    needs_pictures = False

    def __init__(self, contents, error=None):
        self.contents, self.error, self.found = contents, error, None

    def files(self, video):
        return tuple(self.contents)

    def write(self, folder, video, frames):
        self.found = sorted(path.name for path in folder.rglob("*") if path.is_file())
        for file, text in self.contents.items():
            (folder / file).write_text(text + "".join(frames))
        if self.error is not None:
            raise self.error


@pytest.fixture
def directory(tmp_path):
    directory = RunDirectory(tmp_path / "out")
    directory.open()
    return directory


def write(directory, sink, *, files=None, frames=("1", "2"), limit=None):
    files = sink.files(None) if files is None else files
    video = SinkVideo(INFO, (1,))
    write_files("mine", sink, files=files, video=video, frames=iter(frames), directory=directory, limit=limit)


def names(directory):
    files = sorted(path for path in directory.path.rglob("*") if path.is_file())
    return [str(path.relative_to(directory.path)) for path in files if path.name not in {"files", "lock"}]


def test_files_get_their_place(directory):
    write(directory, Sink({"a.txt": "a", "deep/er/b.txt": "b"}))
    assert names(directory) == ["a.txt", "deep/er/b.txt"]
    assert (directory.path / "a.txt").read_text() == "a12"
    assert directory.owns("a.txt")
    assert directory.owns("deep/er/b.txt")
    assert not (directory.hidden / "sinks" / "mine").exists()


def test_a_sink_without_files(directory):
    write(directory, Sink({}))
    assert names(directory) == []


def test_what_a_kill_left_is_gone(directory):
    left = directory.hidden / "sinks" / "mine" / "half.txt"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    sink = Sink({"a.txt": "a"})
    write(directory, sink)
    assert (sink.found, names(directory)) == ([], ["a.txt"])


@pytest.mark.parametrize(
    ("sink", "files", "message"),
    [
        (Sink({"a.txt": "a"}, ValueError("not\ntoday")), None, "'mine' failed: ValueError: not today; the committed"),
        (Sink({}), ["a.txt"], "'mine' did not write a.txt; the committed frames are kept"),
        (Sink({"b.txt": "a"}), [], "'mine' wrote, and had not announced, b.txt"),
        (Sink({"a.txt": "a", "b.txt": "b"}), ["a.txt"], "wrote, and had not announced, b.txt"),
    ],
    ids=["raises", "leaves out", "surprises", "adds"],
)
def test_whole_files_or_none(directory, sink, files, message):
    with pytest.raises(OutputError, match=message) as caught:
        write(directory, sink, files=files)
    assert "\n" not in str(caught.value)
    assert names(directory) == []


def test_our_own_errors_stay_what_they_are(directory):
    with pytest.raises(DecodeError, match=r"^no frame$"):
        write(directory, Sink({"a.txt": "a"}, DecodeError("no frame", frame=3)))
    assert names(directory) == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_sink_that_hangs(directory, after):
    never = threading.Event()

    class Hangs(Sink):
        def write(self, folder, video, frames):
            for _ in range(after):
                next(frames)
            never.wait()

    with pytest.raises(HangError, match=r"^the result sink 'mine' hangs: it took more than 0\.05 s \(--call-timeout\)"):
        write(directory, Hangs({"a.txt": "a"}), limit=0.05)
    never.set()
    assert names(directory) == []


def test_a_slow_sink_has_its_time_for_each_frame(directory):
    class Slow(Sink):
        def write(self, folder, video, frames):
            for number in frames:
                threading.Event().wait(0.3)
                (folder / "a.txt").write_text(number)

    write(directory, Slow({"a.txt": "a"}), frames=("1", "2", "3", "4"), limit=0.6)
    assert names(directory) == ["a.txt"]
