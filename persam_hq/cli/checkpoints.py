"""`persam-hq checkpoints list | download | inspect | average | fit-keys`: published and own weights files."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.hub import PUBLISHED, Cache, Published, cached_path, default_folder, download, published

if TYPE_CHECKING:
    from persam_hq.checkpoint import Checkpoint


def add_checkpoints(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands below `checkpoints`."""
    checkpoints = commands.add_parser("checkpoints", help="find, download, look into and average weights files")
    checkpoints.set_defaults(group=checkpoints)
    below = checkpoints.add_subparsers(metavar="COMMAND")

    # Published files, and what one of any origin holds
    listing = below.add_parser("list", help="published weights: address, size, licence, and whether they are here")
    listing.set_defaults(run=_list)

    get = below.add_parser("download", help="put published weights into the cache; goes on where it was cut off")
    get.add_argument("names", nargs="+", metavar="NAME", help="as `list` calls them")
    get.add_argument("--offline", action="store_true", help="verify what is in the cache, and use no network")
    get.set_defaults(run=_download, interrupted=lambda _: "; the same command goes on where it stopped")

    inspect = below.add_parser("inspect", help="say what a weights file holds")
    inspect.add_argument("path", metavar="PATH", help=".pth, .pt, .safetensors, or the name of a downloaded file")
    inspect.set_defaults(run=_inspect)

    # Files made of others
    average = below.add_parser("average", help="the mean of two safetensors of one model")
    average.add_argument("first", type=Path, metavar="FIRST", help="what was there before")
    average.add_argument("second", type=Path, metavar="SECOND", help="what was learnt since")
    average.add_argument("--share", type=float, default=0.5, help="of the second file, 0 to 1 (default: 0.5)")
    average.add_argument("--out", type=Path, required=True, metavar="PATH", help="gets the mean")
    average.set_defaults(run=_average)

    fit = below.add_parser("fit-keys", help="decide lite's matching keys anew, from photos without masks")
    fit.add_argument("weights", type=Path, metavar="WEIGHTS", help="lite's, with keys or from before they were fitted")
    fit.add_argument("--photos", type=Path, nargs="+", required=True, metavar="FOLDER", help="searched for *.jpg")
    fit.add_argument("--count", type=int, default=100, help="photos of each folder (default: 100)")
    fit.add_argument("--out", type=Path, required=True, metavar="PATH", help="gets the weights")
    fit.set_defaults(run=_fit_keys)


def _list(_: argparse.Namespace) -> None:
    """Print each published file: address, size, licence, hash, and whether it is in the cache."""
    cache = Cache(default_folder())
    for entry in PUBLISHED.values():
        here = "in the cache" if cache.has(entry) else "not downloaded"
        print(f"{entry.name:22} {entry.model:8} {entry.content:26} {_size(entry):>8}  {entry.licence}  {here}")
        print(f"    {entry.url}")
        print(f"    sha256 {entry.sha256 or 'not published; that of the first download is kept'}")
    print(f"sizes are about; the cache is {cache.folder}")


def _download(options: argparse.Namespace) -> None:
    """Download published files into the cache and verify them."""
    cache = Cache(default_folder())
    # All names are looked up before the first download
    for entry in [published(name) for name in options.names]:
        if not cache.has(entry) and not options.offline:
            print(f"{entry.name}: about {_size(entry)} ({entry.licence}) from {entry.url}", flush=True)
        path = download(entry, cache, offline=options.offline, progress=_Progress(entry), waiting=_Waiting(entry))
        kind = "as published" if entry.sha256 else "as first downloaded, since none is published"
        print(f"{entry.name}: {path}, SHA-256 {kind}", flush=True)


class _Progress:
    """Progress of one download on standard error: one line per tenth of it."""

    def __init__(self, entry: Published) -> None:
        self._name, self._tenths = entry.name, -1

    def __call__(self, done: int, total: int | None) -> None:
        tenths = 0 if not total else 10 * done // total
        if tenths > self._tenths:
            self._tenths = tenths
            of = "" if not total else f" of {total / 1e6:.0f}"
            print(f"{self._name}: {done / 1e6:.0f}{of} MB", file=sys.stderr, flush=True)


class _Waiting:
    """The line on standard error that another process downloads the same file."""

    def __init__(self, entry: Published) -> None:
        self._name = entry.name

    def __call__(self) -> None:
        print(f"{self._name}: another process downloads it; waiting for that", file=sys.stderr, flush=True)


def _inspect(options: argparse.Namespace) -> None:
    """Print what a weights file holds."""
    from persam_hq.checkpoint import read_checkpoint

    print("\n".join(_description(read_checkpoint(cached_path(options.path)))))


def _description(found: Checkpoint) -> list[str]:
    """The facts about a weights file, one line each."""
    tensors = found.tensors.values()
    dtypes = Counter(str(value.dtype).removeprefix("torch.") for value in tensors)
    of_model = found.encoder or "none that is registered"
    lines = {
        "file": str(found.path),
        "layout": str(found.layout),
        "model": of_model if not found.lacks else f"{of_model}; lacks {' and '.join(found.lacks)}",
        "hq parts": "yes" if found.has_hq else "no: it runs in SAM mode",
        "image size": "any" if found.image_size is None else str(found.image_size),
        "found in": " > ".join(found.around) or "the file itself",
        "tensors": f"{len(found.tensors)}, {sum(value.nbytes for value in tensors) / 1e6:.1f} MB",
        "dtypes": ", ".join(f"{count} {dtype}" for dtype, count in dtypes.items()),
    }
    return [f"{name + ':':12}{value}" for name, value in lines.items()]


def _average(options: argparse.Namespace) -> None:
    """Write the weighted mean of two files."""
    from persam_hq.checkpoint.averaging import average_weights

    average_weights(options.first, options.second, options.out, share=options.share)


def _fit_keys(options: argparse.Namespace) -> None:
    """Write lite's weights with keys fitted to photos."""
    from persam_hq.training.lite.key_projection import fit_keys

    fit_keys(options.weights, options.photos, options.out, count=options.count)


def _size(entry: Published) -> str:
    """The size of a published file, in MB or GB."""
    return f"{entry.megabytes / 1000:.2f} GB" if entry.megabytes >= 1000 else f"{entry.megabytes:.0f} MB"
