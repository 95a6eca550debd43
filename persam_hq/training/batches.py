"""Batches by step number: the same step gives the same batch, in whatever process it is made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.training.clips import TrainingClip, photo_clip, video_clip
from persam_hq.training.config import ClipSource, PhotoSource, TrainConfig
from persam_hq.training.sources import Clip, Photo, load_clips, load_label_maps

_MOST_DRAWS: Final = 10_000


class BatchMaker:
    """Draws training clips from all sources by their weights."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.videos: list[list[Clip]] = [load_clips(source.root, source.names) for source in config.clips]
        self.photos: list[list[Photo]] = [
            load_label_maps(source.root, background=source.background) for source in config.photos
        ]
        sources: list[ClipSource | PhotoSource] = [*config.clips, *config.photos]
        weights = np.array([source.weight for source in sources])
        self.probabilities = weights / weights.sum()

    def step_rng(self, step: int, *, purpose: int) -> np.random.Generator:
        """The generator of one step: no state is carried from step to step, so a resumed run draws the same."""
        return np.random.default_rng([self.config.seed, purpose, step])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Frames (B, T, 3, S, S) float in [0, 255] and masks (B, T, S, S) float of a step."""
        rng = self.step_rng(step, purpose=0)
        weights = np.array([crop.weight for crop in self.config.crops])
        crop = self.config.crops[int(rng.choice(len(weights), p=weights / weights.sum()))]
        clips = [self._clip(crop.side, rng) for _ in range(crop.batch)]
        frames = torch.from_numpy(np.stack([clip.frames for clip in clips])).permute(0, 1, 4, 2, 3).float()
        return frames, torch.from_numpy(np.stack([clip.masks for clip in clips])).float()

    def _clip(self, side: int, rng: np.random.Generator) -> TrainingClip:
        """Drawn again until it shows an object large enough; InputError where none ever does."""
        for _ in range(_MOST_DRAWS):
            source = int(rng.choice(len(self.probabilities), p=self.probabilities))
            made = self._from_source(source, side, rng)
            if made is not None:
                return made
        raise InputError(
            f"{_MOST_DRAWS} training clips drawn and no object large enough in any; check the label maps and crop sizes"
        )

    def _from_source(self, source: int, side: int, rng: np.random.Generator) -> TrainingClip | None:
        length = self.config.clip_length
        if source < len(self.videos):
            clips = self.videos[source]
            return video_clip(clips[int(rng.integers(len(clips)))], length=length, size=side, rng=rng)
        photos = self.photos[source - len(self.videos)]
        others = self.photos[int(rng.integers(len(self.photos)))]
        photo = photos[int(rng.integers(len(photos)))]
        return photo_clip(photo, others=others, length=length, size=side, rng=rng)

    def stream(self, *, start: int, stop: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(step, frames, masks) for each step, two made ahead in a thread."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            pending: list[tuple[int, Future[tuple[Tensor, Tensor]]]] = []
            upcoming = iter(range(start, stop))
            for step in upcoming:
                pending.append((step, pool.submit(self.batch, step)))
                if len(pending) > 2:
                    ready, future = pending.pop(0)
                    yield ready, *future.result()
            for ready, future in pending:
                yield ready, *future.result()
