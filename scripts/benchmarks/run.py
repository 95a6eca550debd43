#!/usr/bin/env python3
"""Benchmarks: `scripts/benchmarks/run.py memory|engine|compare|plugins|scale-weights`, whose figures the docs quote."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEGABYTE = 1_000_000
TRIES = ("default=", "hq=--decoder hq", "plain=--refine none")  # two share the decoder, two the refiners


def peak_memory(video: Path, mask: Path, *, end: int | None, executor: str) -> tuple[int, int, list[int]]:
    """(frames, peak resident bytes of the driver, those of each worker) of one run in processes of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "persamhq_video", "run", str(video), "--mask", str(mask), "--out", out]
        command += ["--executor", executor, "--quiet"] + ([] if end is None else ["--end", str(end)])
        subprocess.run(command, check=True)
        record = json.loads((Path(out) / "run.json").read_text(encoding="utf-8"))
    peak = record["peak_memory_bytes"]
    return record["frames"]["committed"], peak["driver"], peak["workers"]


def memory(args: argparse.Namespace) -> None:
    """Print the peak memory on the first frames of a clip and on all of them."""
    for end in (args.frames, None):
        frames, driver, workers = peak_memory(args.video, args.mask, end=end, executor=args.executor)
        shown = ", ".join(f"{w / MEGABYTE:.0f}" for w in workers)
        print(f"{frames} frames, {args.executor}: driver {driver / MEGABYTE:.0f} MB, workers {shown} MB")


def whole_command(words: list[str]) -> tuple[float, float]:
    """Seconds of a command in a process of its own, from start to end: by the clock, and of all processors."""
    before, spent_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "persamhq_video", *words, "--quiet"], check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    processors = spent.ru_utime + spent.ru_stime - spent_before.ru_utime - spent_before.ru_stime
    return time.perf_counter() - before, processors


def compare(args: argparse.Namespace) -> None:
    """Print the time of comparing several strategies beside that of one run; both are whole commands."""
    end = [] if args.frames is None else ["--end", str(args.frames)]
    tries = [word for one in args.tries for word in ("--try", one)]
    for _ in range(args.times):
        with tempfile.TemporaryDirectory() as folder:
            common = [str(args.video), "--mask", str(args.mask), *end, "--out"]
            one, one_spent = whole_command(["run", *common, f"{folder}/run"])
            both, both_spent = whole_command(["compare", *common, f"{folder}/compare", *tries])
        print(
            f"compare {len(args.tries)} strategies {both:.1f} s, one run {one:.1f} s: {both / one:.2f} times", end="; "
        )
        print(f"processors {both_spent:.1f} s, {one_spent:.1f} s: {both_spent / one_spent:.2f} times", flush=True)


def engine(args: argparse.Namespace) -> None:
    """Print how much of the workers' speed the engine leaves."""
    import engine as benchmark

    benchmark.run(args.video, args.mask, parts=args.parts, workers=args.workers, seconds=args.seconds)


def plugins(args: argparse.Namespace) -> None:
    """Print the cost of the plugin layer."""
    import plugins as benchmark

    benchmark.run(frames=args.frames, objects=args.objects)


def scale_weights(args: argparse.Namespace) -> None:
    """Print the time of PerSAM-F's solvers beside a decoder that is run again at every step."""
    import scale_weights as benchmark

    benchmark.run(args.root, photos=args.photos, model=args.model, checkpoint=args.checkpoint, steps=args.steps)


def main() -> None:
    """Parse and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    # Memory and speed of runs
    sub = commands.add_parser("memory", help="peak memory on a part of a clip and on the whole")
    sub.add_argument("video", type=Path)
    sub.add_argument("--mask", type=Path, required=True)
    sub.add_argument("--frames", type=int, default=100, help="how many frames the short run has (default 100)")
    sub.add_argument("--executor", choices=("inline", "ray"), default="inline")
    sub.set_defaults(run=memory)
    sub = commands.add_parser(
        "engine", help="frames/s of real lite, of many workers that sleep, and of the driver alone"
    )
    sub.add_argument("video", type=Path, nargs="?", help="for real lite, which is left out without it")
    sub.add_argument("--mask", type=Path)
    sub.add_argument(
        "--parts", nargs="+", choices=("lite", "scaling", "overhead"), default=("lite", "scaling", "overhead")
    )
    sub.add_argument("--workers", type=int, nargs="+", default=(1, 2, 4, 8, 16, 32, 64), help="that sleep")
    sub.add_argument("--seconds", type=float, default=15, help="how long each figure is counted (default 15)")
    sub.set_defaults(run=engine)

    # Costs of single parts
    sub = commands.add_parser("plugins", help="what the plugin layer costs a frame and object")
    sub.add_argument("--frames", type=int, default=1000)
    sub.add_argument("--objects", type=int, default=20)
    sub.set_defaults(run=plugins)
    sub = commands.add_parser("compare", help="the time of `compare` beside that of one `run`")
    sub.add_argument("video", type=Path)
    sub.add_argument("--mask", type=Path, required=True)
    sub.add_argument("--frames", type=int, help="only so many (default: all)")
    sub.add_argument(
        "--try", dest="tries", action="append", metavar="NAME=OPTIONS", help=f"default: {', '.join(TRIES)}"
    )
    sub.add_argument("--times", type=int, default=2, help="how often (default 2)")
    sub.set_defaults(run=compare)
    sub = commands.add_parser("scale-weights", help="PerSAM-F: both solvers beside rerunning the decoder at every step")
    sub.add_argument("root", type=Path, help="photos and masks in a layout that `persam-hq evaluate perseg` reads")
    sub.add_argument("--photos", type=int, default=3, help="how many photos, each its own reference (default 3)")
    sub.add_argument("--model", choices=("lite", "vit_tiny", "vit_b", "vit_l", "vit_h"), default="lite")
    sub.add_argument("--checkpoint", type=Path, help="weights; all models but lite need them")
    sub.add_argument("--steps", type=int, default=1000, help="of the published descent (default 1000)")
    sub.set_defaults(run=scale_weights)

    # A list that is appended to has its default filled in here, else it would be added to
    args = parser.parse_args()
    if getattr(args, "tries", ()) is None:
        args.tries = list(TRIES)
    args.run(args)


if __name__ == "__main__":
    main()
