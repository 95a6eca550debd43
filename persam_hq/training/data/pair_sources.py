"""Sources of pairs for SAM-type models: two images of one object, from mask folders, label maps or videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.training.config.sam import DataSources
from persam_hq.training.data.datasets import Array, Clip, Photo, load_clips, load_label_maps, read_image
from persam_hq.training.data.scene import pick_segment

IMAGE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MASK_ENDINGS: Final = (".png", ".jpg", ".bmp")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
    """An image (H, W, 3) uint8 RGB and the mask (H, W) uint8 0/1 of one object in it."""

    image: Array
    mask: Array

    def __post_init__(self) -> None:
        if self.image.shape[:2] != self.mask.shape:
            raise InputError(f"an image of {self.image.shape[:2]} has a mask of {self.mask.shape}; make them one size")

    def __repr__(self) -> str:
        return f"AnnotatedImage(image={self.image.shape})"


class PairSource(Protocol):
    """Draws two annotated images of one object; None where the draw shows no object, and another draw may."""

    def draw(self, rng: np.random.Generator) -> tuple[AnnotatedImage, AnnotatedImage] | None:
        """A reference and a target, or None."""
        ...


class MaskFolders:
    """Images and masks of the same stem, in two folders or in one (DIS5K, ThinObject5K; FSS, DUTS, ECSSD, MSRA-10K).

    They are listed once and read when they are drawn. Reference and target are the same image.
    """

    def __init__(self, images: Path, masks: Path) -> None:
        self.files = _matched(images, masks)

    def draw(self, rng: np.random.Generator) -> tuple[AnnotatedImage, AnnotatedImage] | None:
        """See PairSource."""
        image, mask = self.files[int(rng.integers(len(self.files)))]
        try:
            annotated = AnnotatedImage(image=read_image(image), mask=read_mask(mask))
        except InputError as exc:
            raise InputError(f"{image} and {mask}: {exc}") from exc
        return (annotated, annotated) if annotated.mask.any() else None


class LabelMaps:
    """One segment of a photo with label maps. Reference and target are the same photo."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.photos = photos

    def draw(self, rng: np.random.Generator) -> tuple[AnnotatedImage, AnnotatedImage] | None:
        """See PairSource."""
        photo = self.photos[int(rng.integers(len(self.photos)))]
        mask = pick_segment(photo, rng)
        if mask is None:
            return None
        annotated = AnnotatedImage(image=photo.image, mask=np.asarray(mask > 0, dtype=np.uint8))
        return annotated, annotated


class VideoFrames:
    """One object on two frames of a clip."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = clips

    def draw(self, rng: np.random.Generator) -> tuple[AnnotatedImage, AnnotatedImage] | None:
        """See PairSource."""
        clip = self.clips[int(rng.integers(len(self.clips)))]
        first, second = (int(index) for index in rng.integers(len(clip.frames), size=2))
        ids = np.intersect1d(clip.labels[first], clip.labels[second])
        ids = ids[ids > 0]
        if not len(ids):
            return None

        # An object that both frames show
        chosen = rng.choice(ids)
        reference, target = (
            AnnotatedImage(image=clip.frames[k], mask=(clip.labels[k] == chosen).astype(np.uint8))
            for k in (first, second)
        )
        return reference, target


def open_sources(data: DataSources) -> tuple[list[PairSource], list[float]]:
    """All sources of a configuration, and the weights that they are drawn by."""
    sources: list[PairSource] = [MaskFolders(pair.images, pair.masks) for pair in data.pairs]
    sources += [LabelMaps(load_label_maps(photo.root, background=photo.background)) for photo in data.photos]
    sources += [VideoFrames(load_clips(clip.root, clip.names)) for clip in data.clips]
    weights = [pair.weight for pair in data.pairs] + [photo.weight for photo in data.photos]
    return sources, weights + [clip.weight for clip in data.clips]


def read_mask(path: Path) -> Array:
    """(H, W) uint8 0/1 of a grey, colour or palette image: what is brighter than half of its brightest value.

    Masks are saved as 0/1, 0/255 and with soft edges; in a palette image everything but index 0 is the object.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "P":
                return np.asarray(np.asarray(image) > 0, dtype=np.uint8)
            values = np.asarray(image.convert("L"))
    except OSError as exc:
        raise InputError(f"cannot read the mask {path}: {exc}") from exc
    return np.asarray(values > values.max() / 2, dtype=np.uint8)


def _matched(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """(image, mask) of the same stem, in order of name; in one folder an image is a .jpg and its mask a .png."""
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}; expected images, and masks with the same names but endings")

    # An image without a mask is left out: published sets have some
    endings = IMAGE_ENDINGS if images != masks else (".jpg", ".jpeg")
    by_stem = {path.stem: path for path in sorted(masks.iterdir()) if _ends(path, _mask_endings(images, masks))}
    found = [
        (path, by_stem[path.stem]) for path in sorted(images.iterdir()) if _ends(path, endings) and path.stem in by_stem
    ]
    if not found:
        raise InputError(f"no image in {images} has a mask in {masks}; expected the same names, masks as .png")
    return found


def _mask_endings(images: Path, masks: Path) -> tuple[str, ...]:
    """Endings of masks; in a folder with images too, .png alone tells them apart."""
    return MASK_ENDINGS if images != masks else (".png",)


def _ends(path: Path, endings: tuple[str, ...]) -> bool:
    return path.suffix.lower() in endings
