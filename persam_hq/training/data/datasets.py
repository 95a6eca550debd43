"""Readers of training data on disk: photos with label maps and clips in DAVIS layout, decoded once into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.errors import InputError

Array = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """An image (H, W, 3) uint8 RGB and one or more label maps (H, W) of it, each by another annotator."""

    image: Array
    labels: tuple[NDArray[np.integer], ...]
    background: bool
    """True if label 0 means background, False if it is a segment like the others."""

    def __repr__(self) -> str:
        return f"Photo(image={self.image.shape}, label_maps={len(self.labels)})"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames (H, W, 3) uint8 RGB of a video and their label maps (H, W) uint8, 0 = background."""

    name: str
    frames: tuple[Array, ...]
    labels: tuple[Array, ...]

    def __repr__(self) -> str:
        return f"Clip({self.name!r}, frames={len(self.frames)})"


def read_image(path: Path) -> Array:
    """The image in a file, (H, W, 3) uint8 RGB."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as exc:
        raise InputError(f"cannot read the training image {path}: {exc}") from exc


def read_labels(path: Path) -> NDArray[np.integer]:
    """The label map (H, W) in a file; palette indices are kept as they are."""
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except OSError as exc:
        raise InputError(f"cannot read the label map {path}: {exc}") from exc
    if labels.ndim != 2:
        raise InputError(f"a label map has one channel, got {labels.shape} in {path}")
    return labels


def load_label_maps(root: Path, *, background: bool) -> list[Photo]:
    """Photos in `root/images[/split]` with label maps `root/annotations[/split]/<id>.png` or `<id>_<k>.png`."""
    photos = []
    for image_path in sorted((root / "images").rglob("*.jpg")):
        split = image_path.parent.relative_to(root / "images")
        folder = root / "annotations" / split

        # One label map, or one per annotator; photos without any are left out
        found = sorted([*folder.glob(f"{image_path.stem}.png"), *folder.glob(f"{image_path.stem}_*.png")])
        if found:
            labels = tuple(read_labels(path) for path in found)
            photos.append(Photo(image=read_image(image_path), labels=labels, background=background))
    if not photos:
        raise InputError(f"no photos with label maps below {root}: expected images/ and annotations/")
    return photos


def load_clips(root: Path, names: tuple[str, ...]) -> list[Clip]:
    """Clips in DAVIS layout: `root/JPEGImages/<name>/*.jpg` and `root/Annotations/<name>/*.png`."""
    clips = []
    for name in names:
        annotations = sorted((root / "Annotations" / name).glob("*.png"))
        if not annotations:
            raise InputError(f"no annotations of {name!r} below {root}: expected Annotations/{name}/*.png")

        # Only annotated frames are of use
        frames = tuple(read_image(root / "JPEGImages" / name / f"{path.stem}.jpg") for path in annotations)
        labels = tuple(_foreground_ids(read_labels(path)) for path in annotations)
        clips.append(Clip(name=name, frames=frames, labels=labels))
    return clips


def _foreground_ids(labels: NDArray[np.integer]) -> Array:
    """A 0/255 mask becomes object 1; palette ids stay."""
    return np.where(labels == 255, 1, labels).astype(np.uint8)
