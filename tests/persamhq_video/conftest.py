"""Clips, masks and plugins that the tests of the video shell make for themselves, and the stand-in tracker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_ins import tracker as stand_in_tracker

SIZE = (36, 64)
NUM_FRAMES = 12

ClipMaker = Callable[..., Path]

PLUGIN = '''
from persamhq_video.plugin import hookimpl

class Mine:
    """A selector of a single file."""
    needs_history = {needs_history}

@hookimpl
def persamhq_register_prompt_selectors(register):
    register.add("mine", Mine)

@hookimpl
def persamhq_run_finished(directory, record):
    (directory / "seen-by-plugin.txt").write_text(record["status"])
'''


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> stand_in_tracker.HashTrackerBuilder:
    """Runs use the stand-in tracker instead of a model."""
    monkeypatch.setattr("persamhq_video.tracking.build.VIDEO_TRACKERS", stand_in_tracker.BUILDER)
    return stand_in_tracker.BUILDER


@pytest.fixture
def stand_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in processes of their own use the stand-in tracker, which takes long enough to be killed."""
    monkeypatch.setenv("STAND_IN_TRACKER", stand_in_tracker.MODULE)
    monkeypatch.setenv("STAND_IN_SECONDS", "0.02")
    # Those processes, and the Ray workers that they start, import it too
    monkeypatch.setenv("PYTHONPATH", str(Path(stand_in_tracker.__file__).parents[1]), prepend=os.pathsep)


@pytest.fixture
def make_clip(tmp_path: Path) -> ClipMaker:
    """Make a folder of frames; `trap` is the colour of the first pixel of the stand-in's trapped frame."""

    def make(name: str = "clip", *, frames: int = NUM_FRAMES, trap: tuple[int, int, int] = (9, 9, 9)) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        generator = np.random.default_rng(7)
        for index in range(frames):
            image = generator.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            image[0, 0] = trap
            Image.fromarray(image).save(folder / f"f{index:03d}.png")
        return folder

    return make


@pytest.fixture
def clip(make_clip: ClipMaker) -> Path:
    return make_clip()


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Two objects."""
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[4:12, 6:20] = 1
    labels[20:30, 30:50] = 2
    path = tmp_path / "mask.png"
    Image.fromarray(labels).save(path)
    return path


@pytest.fixture
def labels(mask: Path) -> np.ndarray:
    return np.array(Image.open(mask))


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    """A plugin of one file: the selector `mine` and an observer that leaves a note."""
    path = tmp_path / "my_plugin.py"
    path.write_text(PLUGIN.format(needs_history=False))
    return path


@pytest.fixture
def clinging_plugin_file(tmp_path: Path) -> Path:
    """The same with a selector that needs earlier results."""
    path = tmp_path / "clinging_plugin.py"
    path.write_text(PLUGIN.format(needs_history=True))
    return path


@pytest.fixture
def davis(tmp_path: Path, make_clip: ClipMaker, mask: Path) -> Path:
    """Two sequences whose every annotation is the first mask."""
    root = tmp_path / "davis"
    for name in ("camel", "goat"):
        frames = make_clip(name, frames=5)
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        frames.rename(root / "JPEGImages" / name)
        annotations = root / "Annotations" / name
        annotations.mkdir(parents=True)
        for frame in sorted((root / "JPEGImages" / name).iterdir()):
            annotations.joinpath(frame.name).write_bytes(mask.read_bytes())
    return root


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local cluster for all tests; executors join it."""
    from persamhq_video.executors.workers.ray_session import connect

    with connect(None, cpus=2):
        yield


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler of SIGINT: a process that was started in the background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
