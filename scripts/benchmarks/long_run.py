#!/usr/bin/env python3
"""Resident memory over a long video: `scripts/benchmarks/long_run.py VIDEO --mask PATH [--frames 5000] [-- OPTIONS]`.

The clip is played forwards and backwards until there are enough frames, so that the object never jumps. Printed at
frame 500 and at every thousandth: resident memory of the driver and of each worker, and of Ray's object store. What
follows `--` are options of `persamhq-video run`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path

import av

from persamhq_video.io import open_source

MEGABYTE = 1_000_000
FIRST_REPORT = 500  # frames; by then everything is allocated that a run needs once
REPORT_EVERY = 1000


def make_looped(clip: Path, out: Path, *, frames: int) -> None:
    """Write a video of so many frames, 25 per second, that plays the clip forwards and backwards."""
    images = [frame.image for frame in open_source(clip).frames()]
    height, width, _ = images[0].shape
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for image in islice(cycle(chain(images, images[-2:0:-1])), frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def processes() -> Iterator[tuple[int, int, str]]:
    """(id, id of the parent, command line) of every process."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        yield int(folder.name), parent, command


def memory_of(process: int) -> Mapping[str, int]:
    """Bytes of resident memory of a process: private (`anonymous`), shared (`shared`) and together (`all`)."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    names = {"anonymous": "RssAnon", "shared": "RssShmem", "all": "VmRSS"}
    return {name: int(lines[field].split()[0]) * 1024 for name, field in names.items()}


def descendants(root: int) -> dict[int, str]:
    """The processes below `root`, by id, with their command lines."""
    known = list(processes())
    found: dict[int, str] = {}
    wanted = {root}
    while wanted:
        wanted = {pid for pid, parent, _ in known if parent in wanted and pid not in found}
        found |= {pid: command for pid, _, command in known if pid in wanted}
    return found


def report(frame: int, driver: int) -> None:
    """Print one line of figures."""
    below = descendants(driver)
    workers = [memory_of(pid)["all"] for pid, command in sorted(below.items()) if command.startswith("ray::RayWorker")]
    store = [memory_of(pid)["shared"] for pid, command in below.items() if "raylet/raylet" in command.split(" ")[0]]
    shown = ", ".join(f"{size / MEGABYTE:.0f}" for size in workers) or "none"
    print(
        f"frame {frame}: driver {memory_of(driver)['all'] / MEGABYTE:.0f} MB, workers {shown} MB,"
        f" object store {sum(store) / MEGABYTE:.0f} MB",
        flush=True,
    )


def main() -> int:
    """Make the video, run it, and look at the memory as it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, help="video file or folder of frames")
    parser.add_argument("--mask", type=Path, required=True, help="mask of the first frame")
    parser.add_argument("--frames", type=int, default=5000, help="length of the video (default 5000)")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, options = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]

    with tempfile.TemporaryDirectory() as folder:
        # The video, and the command that tracks it
        video = Path(folder) / "looped.mp4"
        make_looped(args.video, video, frames=args.frames)
        command = [sys.executable, "-m", "persamhq_video", "run", str(video), "--mask", str(args.mask)]
        command += ["--out", str(Path(folder) / "out"), "--json", *options]

        # Its events tell when to look
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            for line in run.stdout:
                event = json.loads(line)
                frame = event["frame"] if event["event"] == "frame" else None
                if frame is not None and (frame == FIRST_REPORT or frame % REPORT_EVERY == 0):
                    report(frame, run.pid)
        return run.returncode


if __name__ == "__main__":
    sys.exit(main())
