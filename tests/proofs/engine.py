"""Proof that one clip gives the same bytes through every way of spreading the work, with kills in between.

As a program it is `persamhq-video` with, where STAND_IN_TRACKER is set, the stand-in tracker instead of a model.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

TESTS = Path(__file__).resolve().parents[1]
FRAMES_AHEAD = 8
"""What a Ray worker may hold or have under way; a number of its own, so that the proof notices a change."""
MAX_UNSAVED_FRAMES = 16
"""Frames that a kill may have tracked again, as FRAMES_AHEAD."""
WORKER_NAME = b"ray::RayWorker"
"""How Ray names the process of an actor of ours."""
_PATIENCE_SECONDS = 900
"""For a run on a busy machine."""


@dataclass(frozen=True)
class Clip:
    """A video, the mask of its first frame, and options that every run of it has."""

    video: Path
    mask: Path
    options: tuple[str, ...] = ()


@dataclass
class Run:
    """The outcome of a variant: hashes by file, run.json, and what was seen in between."""

    hashes: dict[str, str]
    record: dict
    kills: int = 0
    masks_seen: int = 0

    def num_repeated(self, stage: str) -> int:
        """How many times a frame was tracked, or encoded, again because of a kill."""
        needed = self.record["frames"]["committed"] - (stage == "track")
        return self.record["counts"][{"track": "frames_tracked", "encode": "frames_encoded"}[stage]] - needed

    @property
    def digest(self) -> str:
        """One hash of all files together."""
        return hashlib.sha256("".join(f"{n} {h}\n" for n, h in sorted(self.hashes.items())).encode()).hexdigest()


def inline(clip: Clip, out: Path) -> Run:
    return _whole(clip, out, "--executor", "inline")


def on_ray(workers: int) -> Callable[[Clip, Path], Run]:
    return lambda clip, out: _whole(clip, out, *_ray(workers))


def no_room(clip: Clip, out: Path) -> Run:
    """Every frame is encoded again when it is tracked."""
    run = _whole(clip, out, *_ray(2), "--feature-budget", "1")
    counts = run.record["counts"]
    assert counts["features_recomputed"] == run.record["frames"]["committed"] - 1, counts
    return run


def two_nodes(clip: Clip, out: Path) -> Run:
    with nodes(2) as cluster:
        return _whole(clip, out, *_ray(2), "--address", cluster.address)


def workers_killed(times: int, seed: int) -> Callable[[Clip, Path], Run]:
    """kill -9 to a worker at that many random moments."""

    def run(clip: Clip, out: Path) -> Run:
        random = Random(seed)
        process = start(clip, out, *_ray(2))
        killed = 0
        for _ in _moments(process, random, frames=_count(clip), times=times):
            workers = find_workers(process.pid)
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
                killed += 1
        _expect_success(process)
        return collect(out, kills=killed)

    return run


def driver_killed(times: int, seed: int, *options: str) -> Callable[[Clip, Path], Run]:
    """kill -9 to the driver at that many random moments; each time the run is gone on with."""

    def run(clip: Clip, out: Path) -> Run:
        random, masks = Random(seed), 0
        spread = options or _ray(2)
        frames = _count(clip)
        for time_left in reversed(range(times)):
            # Kill at a random frame of what is left, so that a part of it is left for each further kill.
            process = start(clip, out, *spread)
            done = len(list((out / "masks").glob("*.png")))
            last = done + max(1, (frames - done) // (time_left + 1))
            target = random.randint(min(done + 1, frames), min(last, frames))
            wait_for_frame(process, target)
            time.sleep(random.random() * 0.1)
            process.kill()
            process.wait()
            process.stdout.close()

            # A mask that is torn would not open.
            masks += open_masks(out)
        _expect_success(start(clip, out, *spread))
        return collect(out, kills=times, masks_seen=masks)

    return run


def start(clip: Clip, out: Path, *options: str, **popen: object) -> subprocess.Popen:
    """`persamhq-video run` in a process of its own, with its events to be read."""
    command = [sys.executable, __file__, "run", str(clip.video), "--mask", str(clip.mask), "--out", str(out)]
    command += ["--json", *clip.options, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **popen)


def wait_for_frame(process: subprocess.Popen, count: int) -> bool:
    """Read events until that many frames are written; False if the process ended before."""
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "frame" and event["frame"] >= count:
            return True
    return False


def collect(out: Path, **seen: int) -> Run:
    """The files of a run that is complete."""
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "complete", record
    return Run(hash_files(out), record, **seen)


def hash_files(out: Path) -> dict[str, str]:
    """SHA-256 by name, of everything but run.json."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def open_masks(out: Path) -> int:
    """Decode every label map of a folder; how many there are."""
    paths = sorted((out / "masks").glob("*.png"))
    for path in paths:
        with Image.open(path) as image:
            image.load()
    return len(paths)


def find_workers(root: int) -> list[int]:
    """Processes of workers that the process `root` started, by way of Ray."""
    # Read the processes of the machine; one may end meanwhile.
    children: dict[int, list[int]] = {}
    names: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))

    # Walk down from the root.
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        if names.get(process, b"").startswith(WORKER_NAME):
            found.append(process)
    return sorted(found)


@contextmanager
def nodes(count: int, **resources: float) -> Iterator[object]:
    """A cluster of so many nodes on this machine; the first one has the driver and no worker."""
    from ray.cluster_utils import Cluster

    # What a node can import, its workers can.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, **resources)
        yield cluster
    finally:
        cluster.shutdown()


def _moments(process: subprocess.Popen, random: Random, *, frames: int, times: int) -> Iterator[int]:
    for count in sorted(random.sample(range(1, frames), min(times, frames - 1))):
        if not wait_for_frame(process, count):
            return
        time.sleep(random.random() * 0.1)
        yield count


def _ray(workers: int) -> tuple[str, ...]:
    return ("--executor", "ray", "--workers", str(workers))


def _whole(clip: Clip, out: Path, *options: str) -> Run:
    _expect_success(start(clip, out, *options))
    return collect(out)


def _expect_success(process: subprocess.Popen) -> None:
    process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, f"the run ended with {process.returncode}"


def _count(clip: Clip) -> int:
    frames = sum(1 for path in clip.video.iterdir() if path.suffix in {".png", ".jpg"})
    if "--end" in clip.options:
        return min(frames, int(clip.options[clip.options.index("--end") + 1]))
    return frames


ALL_VARIANTS: dict[str, Callable[[Clip, Path], Run]] = {
    "inline": inline,
    "ray, 1 worker": on_ray(1),
    "ray, 2 workers": on_ray(2),
    "ray, 3 workers": on_ray(3),
    "ray, 2 nodes": two_nodes,
    "5 workers killed": workers_killed(5, seed=1),
    "driver killed 3 times": driver_killed(3, seed=2),
    "no room for features": no_room,
}

KILL_MATRIX: dict[str, Callable[[Clip, Path], Run]] = {
    "inline": inline,
    "inline, killed 12 times": driver_killed(12, 4, "--executor", "inline"),
    "ray, driver killed 12 times": driver_killed(12, seed=5),
    "ray, 12 workers killed": workers_killed(12, seed=6),
}
"""Many kills of one clip: each restart costs seconds, so this is for a clip of a hundred frames or so."""


def main() -> int:
    """`persamhq-video`, perhaps with the stand-in tracker."""
    # As a program this file has its own folder on the path, and not the one that has the stand-ins.
    sys.path.insert(0, str(TESTS))

    from persamhq_video.cli import main as command

    if "STAND_IN_TRACKER" in os.environ:
        from persamhq_video.tracking import build

        build.VIDEO_TRACKERS = importlib.import_module(os.environ["STAND_IN_TRACKER"]).BUILDER
    return command()


if __name__ == "__main__":
    sys.exit(main())
