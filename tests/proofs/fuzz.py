"""Fuzzing of the two commands with broken input: containers, pictures, texts, checkpoints and saved state.

Small sound inputs are made on the spot, one is broken by a few mutations, and a command is run on it in a process
of its own. A run is right when it ends within the limits of time and memory, with an exit code of the table,
without a traceback, and when what it calls complete is there.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from types import FrameType

import numpy as np

from proofs.mutations import mutated

SECONDS = 30
"""For one run: more is a hang. A sound one takes about a second."""
MEBIBYTES = 2048
"""Most memory of one run."""
WIDTH, HEIGHT, FRAMES = 96, 64, 6
"""Small, so that thousands of runs are bearable, and large enough for every codec."""
CODES = {0, 2, 3}
"""All done, refused, a video failed."""
CONTAINERS = (
    ("mp4", "h264", "yuv420p"),
    ("mkv", "ffv1", "yuv420p"),
    ("avi", "mpeg4", "yuv420p"),
    ("ts", "mpeg2video", "yuv420p"),
    ("webm", "libvpx", "yuv420p"),
    ("mov", "mjpeg", "yuvj420p"),
)


@dataclass(frozen=True)
class Case:
    """One broken input: the command's arguments, and where it leaves results (None for a command without)."""

    kind: str
    command: str
    arguments: list[str]
    out: Path | None


@dataclass(frozen=True)
class Ending:
    """What became of a run; `wrong` says why it is not right, and is empty when it is."""

    code: int
    seconds: float
    mebibytes: float
    said: str
    wrong: str


class Seeds:
    """Sound inputs in a folder, made once: `of(kind)` lists the files that mutations of a kind start from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.frames = _frames()
        self._containers()
        self._pictures()
        self._texts()
        self._checkpoints()

    def path(self, name: str) -> Path:
        return self.folder / name

    def of(self, kind: str) -> list[Path]:
        return sorted((self.folder / kind).iterdir())

    def _containers(self) -> None:
        import av

        (self.folder / "container").mkdir(exist_ok=True)
        for suffix, codec, pixels in CONTAINERS:
            with av.open(str(self.folder / "container" / f"clip.{suffix}"), "w") as out:
                stream = out.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
                stream.time_base = Fraction(1, 25)
                for frame in self.frames:
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
                out.mux(stream.encode(None))
        shutil.copy(self.folder / "container" / "clip.mp4", self.path("clip.mp4"))

    def _pictures(self) -> None:
        from PIL import Image

        labels = _labels()
        (self.folder / "mask").mkdir(exist_ok=True)
        (self.folder / "photo").mkdir(exist_ok=True)
        palette = Image.fromarray(labels)
        palette.putpalette([0, 0, 0, 200, 40, 40, 40, 200, 40])
        palette.save(self.folder / "mask" / "palette.png")
        grey = Image.fromarray(np.where(labels == 1, 255, 0).astype(np.uint8))
        for name in ("grey.png", "grey.bmp", "grey.tif", "grey.webp"):
            grey.save(self.folder / "mask" / name, **({"lossless": True} if name.endswith("webp") else {}))
        colours = Image.fromarray(np.dstack([self.frames[0], np.where(labels, 255, 0).astype(np.uint8)]))
        colours.save(self.folder / "mask" / "alpha.png")
        grey.save(self.path("mask.png"))
        for name in ("photo.jpg", "photo.png", "photo.webp", "photo.tif"):
            Image.fromarray(self.frames[0]).save(self.folder / "photo" / name)
        Image.fromarray(self.frames[0]).save(self.folder / "photo" / "progressive.jpg", progressive=True)

    def _texts(self) -> None:
        for kind in ("manifest", "configuration", "prompts"):
            (self.folder / kind).mkdir(exist_ok=True)
        clip, mask = self.path("clip.mp4"), self.path("mask.png")
        (self.folder / "manifest" / "list.csv").write_text(
            f"video,mask,out,detail,start\n{clip},{mask},OUT/a,normal,0\n{clip},{mask},OUT/b,normal,2\n"
        )
        rows = [{"video": str(clip), "mask": str(mask), "out": f"OUT/{n}", "end": 3} for n in "ab"]
        (self.folder / "manifest" / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (self.folder / "configuration" / "run.yaml").write_text(
            "model: lite\nmode: chained\nprompts:\n  name: top_k_points\n  options: {num_positive: 2}\n"
            "executor:\n  kind: inline\n  workers: 1\n  call_timeout: 20\noutputs: [masks, scores]\nend: 3\n"
        )
        (self.folder / "configuration" / "flat.yaml").write_text("model: lite\ndetail: normal\nstride: 2\nstart: 1\n")
        (self.folder / "prompts" / "list.json").write_text(
            json.dumps([{"points": [[30, 30, 1], [5, 5, 0]], "box": [20, 16, 50, 44]}, {"bbox": [4, 4, 20, 20]}])
        )
        (self.folder / "prompts" / "by_name.json").write_text(
            json.dumps({"photo.jpg": [{"clicked_points": [[30, 30]], "clicked_labels": [1]}]})
        )

    def _checkpoints(self) -> None:
        """Lite's own weights as safetensors, and small files in both containers of torch."""
        import torch

        import persam_hq

        (self.folder / "checkpoint").mkdir(exist_ok=True)
        weights = next((Path(persam_hq.__file__).parent / "weights").glob("*.safetensors"))
        shutil.copy(weights, self.folder / "checkpoint" / "lite.safetensors")
        state = {
            "image_encoder.patch_embed.proj.weight": torch.zeros(8, 3, 4, 4),
            "mask_decoder.hf_token.weight": torch.ones(1, 256),
        }
        torch.save({"model": state, "epoch": 3}, self.folder / "checkpoint" / "state.pth")
        torch.save(state, self.folder / "checkpoint" / "old.pth", _use_new_zipfile_serialization=False)


def _frames() -> list[np.ndarray]:
    """A red square that moves over noise."""
    ground = np.random.default_rng(0).integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = []
    for index in range(FRAMES):
        frame = ground.copy()
        frame[16:44, 20 + 3 * index : 48 + 3 * index] = (230, 40, 40)
        frames.append(frame)
    return frames


def _labels() -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[16:44, 20:48] = 1
    labels[50:60, 70:90] = 2
    return labels


def cases(seeds: Seeds, folder: Path, number: int, seed: int) -> Iterator[Case]:
    """The given number of cases, the kinds in turn; each is made in `folder`, which is emptied before."""
    makers: tuple[Callable[[Seeds, Path, Random], Case], ...] = (
        *(_container, _mask, _photo, _frame, _manifest, _configuration, _prompts, _checkpoint, _saved_state),
    )
    for index in range(number):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield makers[index % len(makers)](seeds, folder, Random(f"{seed}-{index}"))


def _broken(seeds: Seeds, kind: str, folder: Path, random: Random, *, text: bool = False) -> Path:
    """A seed of that kind, broken, under its own name."""
    seed = random.choice(seeds.of(kind))
    target = folder / seed.name
    data = seed.read_bytes()
    if text:
        data = data.replace(b"OUT", os.fsencode(folder / "out"))
    target.write_bytes(mutated(data, random, text=text))
    return target


def _run(video: Path, mask: Path, out: Path, *more: str) -> list[str]:
    arguments = ["run", str(video), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--workers", "1"]
    return [*arguments, "--outputs", "masks,scores", "--quiet", *more]


def _container(seeds: Seeds, folder: Path, random: Random) -> Case:
    clip = _broken(seeds, "container", folder, random)
    reader = random.choice(("pyav", "pyav", "decord"))
    more = random.choice(((), ("--start", "2"), ("--stride", "2")))
    return _case("container", _run(clip, seeds.path("mask.png"), folder / "out", "--reader", reader, *more), folder)


def _mask(seeds: Seeds, folder: Path, random: Random) -> Case:
    return _case("mask", _run(seeds.path("clip.mp4"), _broken(seeds, "mask", folder, random), folder / "out"), folder)


def _photo(seeds: Seeds, folder: Path, random: Random) -> Case:
    photo = _broken(seeds, "photo", folder, random)
    arguments = ["segment", str(photo), "--box", "20,16,50,44", "--out", str(folder / "out")]
    return Case("photo", "persam-hq", arguments, None)


def _frame(seeds: Seeds, folder: Path, random: Random) -> Case:
    """A folder of frames of one format, of which one is broken."""
    broken = _broken(seeds, "photo", folder, random)
    frames = folder / "frames"
    frames.mkdir()
    for index in range(4):
        shutil.copy(seeds.folder / "photo" / broken.name, frames / f"{index:03d}{broken.suffix}")
    shutil.move(broken, frames / f"{random.randrange(4):03d}{broken.suffix}")
    return _case("frame", _run(frames, seeds.path("mask.png"), folder / "out"), folder)


def _manifest(seeds: Seeds, folder: Path, random: Random) -> Case:
    listed = _broken(seeds, "manifest", folder, random, text=True)
    return Case(
        "manifest",
        "persamhq-video",
        ["run", str(listed), "--outputs", "masks", "--executor", "inline", "--quiet"],
        None,
    )


def _configuration(seeds: Seeds, folder: Path, random: Random) -> Case:
    written = _broken(seeds, "configuration", folder, random, text=True)
    arguments = [
        "run",
        str(seeds.path("clip.mp4")),
        "--mask",
        str(seeds.path("mask.png")),
        "--out",
        str(folder / "out"),
    ]
    return _case("configuration", [*arguments, "--config", str(written), "--executor", "inline", "--quiet"], folder)


def _prompts(seeds: Seeds, folder: Path, random: Random) -> Case:
    prompts = _broken(seeds, "prompts", folder, random, text=True)
    photo = seeds.folder / "photo" / "photo.jpg"
    return Case(
        "prompts", "persam-hq", ["segment", str(photo), "--prompts", str(prompts), "--out", str(folder / "out")], None
    )


def _checkpoint(seeds: Seeds, folder: Path, random: Random) -> Case:
    weights = _broken(seeds, "checkpoint", folder, random)
    if random.random() < 0.5:
        return Case("checkpoint", "persam-hq", ["checkpoints", "inspect", str(weights)], None)
    return _case(
        "checkpoint",
        _run(seeds.path("clip.mp4"), seeds.path("mask.png"), folder / "out", "--checkpoint", str(weights)),
        folder,
    )


def _saved_state(seeds: Seeds, folder: Path, random: Random) -> Case:
    """A finished or a stopped run of which one file is broken, run again."""
    kept = seeds.path(random.choice(("finished", "stopped")))
    shutil.copytree(kept, folder / "out")
    files = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    text = [path for path in files if path.suffix in {".json", ".jsonl", ".csv"} or path.name.startswith(".")]
    broken = random.choice(text if text and random.random() < 0.7 else files)
    as_text = broken in text and random.random() < 0.7
    broken.write_bytes(mutated(broken.read_bytes() or b"\0", random, text=as_text))
    more = random.choice(((), (), ("--overwrite",)))
    return _case("saved state", _run(seeds.path("clip.mp4"), seeds.path("mask.png"), folder / "out", *more), folder)


def _case(kind: str, arguments: list[str], folder: Path) -> Case:
    return Case(kind, "persamhq-video", arguments, folder / "out")


def save_states(seeds: Seeds) -> None:
    """Leave a finished run in `finished`, and in `stopped` one that was killed halfway."""
    finished, stopped = seeds.path("finished"), seeds.path("stopped")
    if finished.exists():
        return
    ended = ending(
        _case("", _run(seeds.path("clip.mp4"), seeds.path("mask.png"), finished), seeds.folder), seeds.folder
    )
    assert ended.code == 0, ended
    # Killed once half of the masks are there: what a kill leaves is what a resumed run reads
    case = _case("", _run(seeds.path("clip.mp4"), seeds.path("mask.png"), stopped), seeds.folder)
    while True:
        shutil.rmtree(stopped, ignore_errors=True)
        child = _start(case, seeds.folder)
        while len(list((stopped / "masks").glob("*.png"))) < FRAMES // 2 and not os.waitpid(child, os.WNOHANG)[0]:
            time.sleep(0.001)
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            continue
        return


def _start(case: Case, folder: Path) -> int:
    """Start the command in a forked process: everything is imported already, so a run takes no start-up time."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = _main(case)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - shown as the traceback that it would be
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(case: Case) -> int:
    if case.command == "persam-hq":
        from persam_hq.cli.main import main

        sys.argv = ["persam-hq", *case.arguments]
    else:
        from persamhq_video.cli import main

        sys.argv = ["persamhq-video", *case.arguments]
    return int(main() or 0)


def ending(case: Case, folder: Path) -> Ending:
    """Run a case and judge how it ends."""
    began = time.monotonic()
    child = _start(case, folder)

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        os.killpg(child, signal.SIGKILL)

    # Time is bounded from outside: a hang in compiled code would not notice an alarm of its own
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    _, status, usage = os.wait4(child, 0)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    seconds, memory = time.monotonic() - began, usage.ru_maxrss / 1024
    code = os.waitstatus_to_exitcode(status)
    said = (folder / "stderr").read_text(errors="replace")
    return Ending(code, seconds, memory, said, _fault(case, code, seconds, memory, said))


def _fault(case: Case, code: int, seconds: float, memory: float, said: str) -> str:
    """Why an ending is wrong, or nothing."""
    # A hint at PERSAMHQ_TRACEBACK marks an error that nobody planned: told in a line, but hardly a clear one
    silent = code != 0 and "error:" not in said
    faults = {
        f"hangs: killed after {SECONDS} s": seconds >= SECONDS,
        "traceback": "Traceback" in said,
        f"exit code {code}": code not in CODES,
        f"{memory:.0f} MiB": memory > MEBIBYTES,
        "unplanned error": "PERSAMHQ_TRACEBACK" in said,
        f"exit code {code} without a word": silent,
        "exit code 0, but nothing complete": code == 0 and case.out is not None and not _complete(case.out),
    }
    return next((fault for fault, found in faults.items() if found), "")


def _complete(out: Path) -> bool:
    try:
        record = json.loads((out / "run.json").read_text())
    except (OSError, ValueError):
        return False
    masks = len(list((out / "masks").glob("*.png")))
    return record.get("status") == "complete" and record["frames"]["committed"] == masks


def warm_up() -> None:
    """Import what runs need, so that forked processes start at once; no thread is started."""
    for module in ("av", "decord", "persam_hq.cli.main", "persamhq_video.cli"):
        importlib.import_module(module)
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    # A core dump per crash would fill the disk
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
