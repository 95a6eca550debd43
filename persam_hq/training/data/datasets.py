"""Readers of training data on disk: photos with label maps and clips in DAVIS layout, decoded once into memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.errors import InputError

Array = NDArray[np.uint8]
SEGMENTS_NAME: Final = "segments.json"
"""File of a panoptic set that says of each label which category it is of, and whether it is one object."""
PANOPTIC_CROWD: Final = 255
"""Label of what is a crowd, or is not labelled, in a panoptic set."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """An image (H, W, 3) uint8 RGB and one or more label maps (H, W) of it, each by another annotator."""

    image: Array
    labels: tuple[NDArray[np.integer], ...]
    background: bool
    """True if label 0 means background, False if it is a segment like the others."""
    things: Mapping[int, str] = field(default_factory=dict)
    """Category of each label that is one object, where the label map says so: the others are then stuff."""
    unlabelled: int | None = None
    """A label that means nothing in particular, such as a crowd, and is never a target."""

    def __repr__(self) -> str:
        return f"Photo(image={self.image.shape}, label_maps={len(self.labels)})"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames (H, W, 3) uint8 RGB of a video and their label maps (H, W) uint8, 0 = background."""

    name: str
    frames: Sequence[Array]
    labels: Sequence[Array]

    def __repr__(self) -> str:
        return f"Clip({self.name!r}, frames={len(self.frames)})"


class EncodedImages(Sequence[Array]):
    """Images kept as the bytes of their files and decoded anew each time: a tenth of the memory, for a few ms."""

    def __init__(
        self, names: Sequence[str], contents: Sequence[bytes], decode: Callable[[BinaryIO, str], Array]
    ) -> None:
        self.names, self.contents, self._decode = names, contents, decode

    def __len__(self) -> int:
        return len(self.contents)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | Sequence[Array]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return self._decode(BytesIO(self.contents[index]), self.names[index])


def read_image(path: Path) -> Array:
    """The image in a file, (H, W, 3) uint8 RGB."""
    return decode_image(BytesIO(_content(path, "training image")), str(path))


def _content(path: Path, kind: str) -> bytes:
    """The bytes of a file of training data."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"cannot read the {kind} {path}: {exc}") from exc


def decode_image(file: BinaryIO, name: str) -> Array:
    """The image (H, W, 3) uint8 RGB in an open file called `name`."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as exc:
        raise InputError(f"cannot read the training image {name}: {exc}") from exc


def read_labels(path: Path) -> NDArray[np.integer]:
    """The label map (H, W) in a file; palette indices are kept as they are."""
    return decode_labels(BytesIO(_content(path, "label map")), str(path))


def decode_labels(file: BinaryIO, name: str) -> NDArray[np.integer]:
    """The label map (H, W) in an open file called `name`."""
    try:
        with Image.open(file) as image:
            labels = np.asarray(image)
    except OSError as exc:
        raise InputError(f"cannot read the label map {name}: {exc}") from exc
    if labels.ndim != 2:
        raise InputError(f"a label map has one channel, got {labels.shape} in {name}")
    return labels


def load_label_maps(root: Path, *, background: bool) -> list[Photo]:
    """Photos in `root/images[/split]` with label maps `root/annotations[/split]/<id>.png` or `<id>_<k>.png`."""
    photos = []
    segments = _panoptic_segments(root)
    for image_path in sorted((root / "images").rglob("*.jpg")):
        split = image_path.parent.relative_to(root / "images")
        folder = root / "annotations" / split

        # One label map, or one per annotator; photos without any are left out
        found = sorted([*folder.glob(f"{image_path.stem}.png"), *folder.glob(f"{image_path.stem}_*.png")])
        if found:
            labels = tuple(read_labels(path) for path in found)
            things = None if segments is None else segments.get(image_path.stem, {})
            photos.append(
                Photo(
                    image=read_image(image_path),
                    labels=labels,
                    background=background,
                    things=things or {},
                    unlabelled=None if segments is None else PANOPTIC_CROWD,
                )
            )
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
        paths = [root / "JPEGImages" / name / f"{path.stem}.jpg" for path in annotations]
        clips.append(
            encoded_clip(
                name,
                frames={str(path): _content(path, "training image") for path in paths},
                labels={str(path): _content(path, "label map") for path in annotations},
            )
        )
    return clips


def encoded_clip(name: str, *, frames: Mapping[str, bytes], labels: Mapping[str, bytes]) -> Clip:
    """A clip from the files of its frames and of their label maps, by the files' names.

    Frames are decoded when they are asked for, and InputError says then which one holds no image.
    """
    return Clip(
        name=name,
        frames=EncodedImages(list(frames), list(frames.values()), decode_image),
        labels=EncodedImages(list(labels), list(labels.values()), _decode_foreground),
    )


def _panoptic_segments(root: Path) -> dict[str, dict[int, str]] | None:
    """Categories of the things in each photo of a panoptic data set, by the photo's name; None for any other set."""
    path = root / SEGMENTS_NAME
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        return {
            name: {int(segment["id"]): str(segment["category"]) for segment in segments if segment["isthing"]}
            for name, segments in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InputError(
            f"cannot read {path}: {exc!r}; expected for each photo a list of segments with id, category and isthing"
        ) from exc


def _decode_foreground(file: BinaryIO, name: str) -> Array:
    return _foreground_ids(decode_labels(file, name))


def _foreground_ids(labels: NDArray[np.integer]) -> Array:
    """A 0/255 mask becomes object 1; palette ids stay."""
    return np.where(labels == 255, 1, labels).astype(np.uint8)
