"""Batches of lite's training by step number: the same step gives the same batch, in whatever process it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.training.config.lite import CropSize, TrainConfig
from persam_hq.training.data.appearance_change import change_appearance
from persam_hq.training.data.clips import TrainingClip, photo_clip, recolour, video_clip
from persam_hq.training.data.datasets import Array, Clip, Photo, load_clips, load_label_maps
from persam_hq.training.data.pack import read_pack
from persam_hq.training.data.prefetch import prefetch
from persam_hq.training.data.scene import photo_background
from persam_hq.training.data.stills import StillImage, draw_still

DrawnT = TypeVar("DrawnT")
_MAX_DRAWS: Final = 10_000
"""Usable data gives a clip within a few draws; this many without one mean that the data is not usable."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips to track through and still images to prompt: colours float in [0, 255], masks float 0 or 1.

    frames: (B, T, 3, S, S) and masks: (B, T, S, S); beside: (B, T, S, S), another object that a prompt could mean
    instead, or empty; stills: (P, 3, S', S') and segments: (P, 2, S', S'), P may be 0. grid: cells a side of the
    decoder's windows.
    """

    frames: Tensor
    masks: Tensor
    beside: Tensor
    stills: Tensor
    segments: Tensor
    grid: int

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return Batch(
            frames=self.frames.to(device),
            masks=self.masks.to(device),
            beside=self.beside.to(device),
            stills=self.stills.to(device),
            segments=self.segments.to(device),
            grid=self.grid,
        )

    def __repr__(self) -> str:
        return f"Batch(frames={tuple(self.frames.shape)}, stills={tuple(self.stills.shape)})"


class BatchMaker:
    """Draws the clips and still images of each step from all sources of a configuration, by their weights."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.videos: list[list[Clip]]
        self.photos: list[list[Photo]]
        if config.pack is not None:
            self.videos, self.photos = read_pack(config.pack, config)
        else:
            self.videos = [load_clips(source.root, source.names) for source in config.clips]
            self.photos = [load_label_maps(source.root, background=source.background) for source in config.photos]
        weights = np.array([source.weight for source in config.sources])
        self.probabilities = weights / weights.sum()

    def some_photos(self, count: int) -> Iterator[Array]:
        """About `count` photos (H, W, 3) uint8 RGB of each set, evenly spaced."""
        for photos in self.photos:
            yield from (photo.image for photo in photos[:: max(1, len(photos) // count)][:count])

    def step_rng(self, step: int, *, purpose: int) -> np.random.Generator:
        """The generator of one step; nothing is carried from step to step, so a resumed run draws the same."""
        return np.random.default_rng([self.config.seed, purpose, step])

    def batch(self, step: int) -> Batch:
        """The batch of step number `step`."""
        # One crop size per step, since a batch is one tensor
        rng = self.step_rng(step, purpose=0)
        weights = np.array([crop.weight for crop in self.config.crops])
        crop = self.config.crops[int(rng.choice(len(weights), p=weights / weights.sum()))]
        clips = [self._clip(crop, rng) for _ in range(crop.batch)]
        frames, masks = np.stack([clip.frames for clip in clips]), np.stack([clip.masks for clip in clips])
        beside = np.stack([clip.beside for clip in clips])

        # What happens to some clips as a whole
        self._change_appearance(frames, masks, rng)
        self._hide(frames, masks, beside, rng)
        stills, segments = self._stills(rng)
        return Batch(
            frames=_images(frames),
            masks=_masks(masks),
            beside=_masks(beside),
            stills=_images(stills),
            segments=_masks(segments),
            grid=crop.grid,
        )

    def _clip(self, crop: CropSize, rng: np.random.Generator) -> TrainingClip:
        """A clip of a source drawn by weight."""
        return _redraw(lambda: self._from_source(self._source(rng), crop, rng))

    def _source(self, rng: np.random.Generator) -> int:
        """Index of a source, videos first and then photos."""
        return int(rng.choice(len(self.probabilities), p=self.probabilities))

    def _from_source(self, source: int, crop: CropSize, rng: np.random.Generator) -> TrainingClip | None:
        """A clip of that source, or None where the draw shows no object; its background may be any photo."""
        others = self.photos[int(rng.integers(len(self.photos)))] if self.photos else []
        if source < len(self.videos):
            clips = self.videos[source]
            clip = clips[int(rng.integers(len(clips)))]
            return video_clip(clip, others=others, length=crop.length, size=crop.side, rng=rng, span=crop.span)
        photos = self.photos[source - len(self.videos)]
        photo = photos[int(rng.integers(len(photos)))]
        return photo_clip(photo, others=others, length=crop.length, size=crop.side, rng=rng, span=crop.span)

    def _change_appearance(self, frames: Array, masks: Array, rng: np.random.Generator) -> None:
        """Let the object of some clips get another look bit by bit, in place."""
        # Without it nothing is drawn either, as before there was this change
        if self.config.appearance_change:
            for row in np.flatnonzero(rng.random(len(frames)) < self.config.appearance_change):
                others = self.photos[int(rng.integers(len(self.photos)))] if self.photos else []
                frames[row] = change_appearance(frames[row], masks[row], others=others, rng=rng)

    def _hide(self, frames: Array, masks: Array, beside: Array, rng: np.random.Generator) -> None:
        """Replace one frame of some clips by a photo without the object, as a cut away does, in place."""
        b, t, side, _, _ = frames.shape
        for row in np.flatnonzero(rng.random(b) < self.config.absent * bool(self.photos)):
            photos = self.photos[int(rng.integers(len(self.photos)))]
            index = int(rng.integers(1, t))
            frames[row, index] = recolour(photo_background(photos, side, rng)[None], rng)[0]
            masks[row, index] = 0
            beside[row, index] = 0

    def _stills(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Still images (P, S, S, 3) and segments (P, 2, S, S); P = 0 where the configuration wants none."""
        wanted = self.config.stills
        if wanted is None or not self.photos:
            # Of the smallest side that a configuration allows
            return np.zeros((0, 32, 32, 3), np.uint8), np.zeros((0, 2, 32, 32), np.uint8)
        stills = [_redraw(lambda: self._still(wanted.side, rng)) for _ in range(wanted.batch)]
        return np.stack([still.image for still in stills]), np.stack([still.masks for still in stills])

    def _still(self, side: int, rng: np.random.Generator) -> StillImage | None:
        """A still image of any photo, or None where the draw shows no two segments."""
        photos = self.photos[int(rng.integers(len(self.photos)))]
        return draw_still(photos[int(rng.integers(len(photos)))], size=side, rng=rng)

    def stream(self, *, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """(step, batch) for each step, made ahead in threads."""
        return prefetch(self.batch, start=start, stop=stop, workers=self.config.loaders)


def _redraw(draw: Callable[[], DrawnT | None]) -> DrawnT:
    """Draw until the object shown is large enough; InputError where it never is."""
    for _ in range(_MAX_DRAWS):
        made = draw()
        if made is not None:
            return made
    raise InputError(
        f"{_MAX_DRAWS} training clips drawn and no object large enough in any; check the label maps and crop sizes"
    )


def _images(stacked: Array) -> Tensor:
    """(..., S, S, 3) uint8 to (..., 3, S, S) float."""
    return torch.from_numpy(stacked).movedim(-1, -3).float()


def _masks(stacked: Array) -> Tensor:
    """(..., S, S) uint8 0/1 to float."""
    return torch.from_numpy(stacked).float()
