"""One file that holds a training's data at training size, to carry it to where the training runs.

A ZIP archive: WebP images, PNG label maps, and `manifest.json`, which names them by source in the order of the
configuration. What does not fit into the size asked for is left out evenly: frames of clips, photos of sets.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.io.atomic import commit, part_path
from persam_hq.training.config.lite import TrainConfig
from persam_hq.training.data.datasets import (
    Array,
    Clip,
    Photo,
    decode_image,
    decode_labels,
    encoded_clip,
    load_clips,
    load_label_maps,
)

FORMAT: Final = "persam_hq.training_pack"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
OVERHEAD: Final = 300
"""Bytes that a file takes in the archive and its manifest beside its content, at most about."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class PackSize:
    """How large a pack may be: bytes in all, the longer side of its images in pixels, and WebP's quality, 1 to 100."""

    bytes: int
    side: int
    quality: int

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.side < 32 or not 1 <= self.quality <= 100:
            raise InputError(
                f"got {self.bytes} bytes, a side of {self.side} and quality {self.quality}; expected at least 1 byte, "
                "32 pixels, and a quality from 1 to 100"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A frame or a photo in files: its image and its label maps, with what else the manifest says of it."""

    image: bytes
    labels: tuple[bytes, ...]
    facts: Mapping[str, Any]

    @property
    def nbytes(self) -> int:
        return sum(len(content) + OVERHEAD for content in (self.image, *self.labels))


def write_pack(config: TrainConfig, out: Path, size: PackSize, *, report: Report) -> None:
    """Write the data of a configuration as a pack: whole or not at all; InputError for data that is not there."""
    # Everything at training size, source by source, in the order that the configuration names them
    packed = [list(_clip_items(load_clips(source.root, source.names), size)) for source in config.clips]
    packed += [
        [_photo_items(load_label_maps(source.root, background=source.background), size)] for source in config.photos
    ]

    # Each source has room by its weight; what one does not need goes to the others
    sources = config.sources
    weights = [source.weight for source in sources]
    sizes = [sum(item.nbytes for group in groups for item in group) for groups in packed]
    shares = shared_out(size.bytes, sizes, weights)
    kept = [[_thinned(group, share) for group in groups] for groups, share in zip(packed, shares, strict=True)]
    _write(config, kept, out)
    names = [source.root.name for source in sources]
    for name, before, after in zip(names, packed, kept, strict=True):
        report(f"{name}: {sum(map(len, after))} of {sum(map(len, before))} images")
    report(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def shared_out(total: int, sizes: Sequence[int], weights: Sequence[float]) -> list[float]:
    """The part of each source, 0 to 1, that fits into `total` bytes: by `weights`, or all of it where that is less."""
    parts = [0.0] * len(sizes)
    left, open_sources = float(total), [k for k, size in enumerate(sizes) if size]
    while open_sources:
        # Those that need less than their share take all they need; then the others share what is left
        unit = left / sum(weights[k] for k in open_sources)
        small = [k for k in open_sources if sizes[k] <= unit * weights[k]]
        if not small:
            for k in open_sources:
                parts[k] = unit * weights[k] / sizes[k]
            return parts
        for k in small:
            parts[k] = 1.0
            left -= sizes[k]
        open_sources = [k for k in open_sources if k not in small]
    return parts


def read_pack(path: Path, config: TrainConfig) -> tuple[list[list[Clip]], list[list[Photo]]]:
    """The clips and the photos of each source of `config`, from a pack of the same sources.

    Raises InputError for a file that is no pack, or one of other sources.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            _check(manifest, config, path)
            clips = [[_read_clip(archive, clip) for clip in source["clips"]] for source in manifest["clips"]]
            photos = [
                [_read_photo(archive, photo, background=wanted.background) for photo in source["photos"]]
                for source, wanted in zip(manifest["photos"], config.photos, strict=True)
            ]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as exc:
        raise InputError(f"cannot read {path} as a training pack: {exc}; `persam-hq train pack` makes one") from exc
    return clips, photos


def _clip_items(clips: Sequence[Clip], size: PackSize) -> Iterator[list[_Item]]:
    """The frames of each clip, thinned later."""
    for clip in clips:
        yield [
            _item(clip.frames[k], (clip.labels[k],), size, {"clip": clip.name, "frame": k})
            for k in range(len(clip.frames))
        ]


def _photo_items(photos: Sequence[Photo], size: PackSize) -> list[_Item]:
    """All photos of a set, thinned later."""
    return [
        _item(photo.image, photo.labels, size, {"things": photo.things, "unlabelled": photo.unlabelled})
        for photo in photos
    ]


def _item(image: Array, labels: Sequence[NDArray[np.integer]], size: PackSize, facts: Mapping[str, Any]) -> _Item:
    """An image and its label maps at training size, never enlarged."""
    height, width, _ = image.shape
    scale = min(1.0, size.side / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    content = BytesIO()
    smaller = image if scale == 1 else cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    Image.fromarray(np.asarray(smaller)).save(content, "WEBP", quality=size.quality)
    return _Item(image=content.getvalue(), labels=tuple(_png(each, shape) for each in labels), facts=facts)


def _png(labels: NDArray[np.integer], shape: tuple[int, int]) -> bytes:
    """A label map (H, W) as a PNG file of `shape` (width, height), 8 bits where these suffice."""
    kind = np.uint8 if labels.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16
    smaller = cv2.resize(labels.astype(kind), shape, interpolation=cv2.INTER_NEAREST_EXACT)
    content = BytesIO()
    Image.fromarray(np.asarray(smaller)).save(content, "PNG", optimize=True)
    return content.getvalue()


def _thinned(items: list[_Item], share: float) -> list[_Item]:
    """Evenly spaced items that take at most `share` of the room of all, in steps of whole items, one at least."""
    if share >= 1 or not items:
        return items
    room, count = share * sum(item.nbytes for item in items), max(1, math.floor(share * len(items)))
    # Sizes differ, so that some more may have to go
    while True:
        kept = [items[k * len(items) // count] for k in range(count)]
        if count == 1 or sum(item.nbytes for item in kept) <= room:
            return kept
        count -= 1


def _write(config: TrainConfig, kept: Sequence[Sequence[Sequence[_Item]]], out: Path) -> None:
    """The archive with its manifest."""
    out.parent.mkdir(parents=True, exist_ok=True)
    clip_sources, photo_sources = kept[: len(config.clips)], kept[len(config.clips) :]
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "clips": [], "photos": []}
    # WebP and PNG are compressed already
    with zipfile.ZipFile(part_path(out), "w", zipfile.ZIP_STORED) as archive:

        def stored(item: _Item, stem: str) -> dict[str, Any]:
            names = [f"{stem}.webp", *(f"{stem}_{k}.png" for k in range(len(item.labels)))]
            for name, content in zip(names, (item.image, *item.labels), strict=True):
                # A fixed date: the same data gives the same file
                archive.writestr(zipfile.ZipInfo(name), content)
            return {"image": names[0], "labels": names[1:], **item.facts}

        for number, (clip_source, clips) in enumerate(zip(config.clips, clip_sources, strict=True)):
            described = [
                [stored(item, f"clips/{number}/{item.facts['clip']}/{item.facts['frame']:05d}") for item in frames]
                for frames in clips
            ]
            manifest["clips"].append({"root": clip_source.root.name, "clips": described})
        for number, (photo_source, (photos,)) in enumerate(zip(config.photos, photo_sources, strict=True)):
            described_photos = [stored(item, f"photos/{number}/{k:05d}") for k, item in enumerate(photos)]
            manifest["photos"].append({"root": photo_source.root.name, "photos": described_photos})
        archive.writestr(zipfile.ZipInfo(MANIFEST), json.dumps(manifest))
    commit(out)


def _check(manifest: Mapping[str, Any], config: TrainConfig, path: Path) -> None:
    """InputError unless the manifest is of a pack of the configuration's sources."""
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise InputError(f"{path} is no training pack of version {VERSION}; `persam-hq train pack` makes one")
    there = [source["root"] for source in (*manifest["clips"], *manifest["photos"])]
    wanted = [source.root.name for source in config.sources]
    if there != wanted or len(manifest["clips"]) != len(config.clips):
        raise InputError(
            f"{path} holds {', '.join(there)}, but the configuration names {', '.join(wanted)}; "
            "pack its own data with `persam-hq train pack`"
        )


def _read_clip(archive: zipfile.ZipFile, frames: Sequence[Mapping[str, Any]]) -> Clip:
    return encoded_clip(
        frames[0]["clip"],
        frames={frame["image"]: archive.read(frame["image"]) for frame in frames},
        labels={frame["labels"][0]: archive.read(frame["labels"][0]) for frame in frames},
    )


def _read_photo(archive: zipfile.ZipFile, photo: Mapping[str, Any], *, background: bool) -> Photo:
    # JSON's keys are words
    return Photo(
        image=decode_image(BytesIO(archive.read(photo["image"])), photo["image"]),
        labels=tuple(decode_labels(BytesIO(archive.read(name)), name) for name in photo["labels"]),
        background=background,
        things={int(label): str(category) for label, category in photo["things"].items()},
        unlabelled=photo["unlabelled"],
    )
