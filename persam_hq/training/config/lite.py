"""The training configuration of lite; `persam_hq.training.config.load` reads it from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """Base of all parts of a training configuration: frozen, and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipSource(Strict):
    """A folder of videos in DAVIS layout, the names of the clips to train on, and how often it is drawn."""

    root: Path
    names: tuple[str, ...]
    weight: float = Field(gt=0)


class PhotoSource(Strict):
    """A folder of photos with label maps; `background` says whether label 0 is none of the segments."""

    root: Path
    background: bool
    weight: float = Field(gt=0)


class CropSize(Strict):
    """Side of square training crops in pixels, clips per step, frames per clip, and how often this size is drawn.

    grid: cells a side of the decoder's windows; span: the parts of the crop that objects fill, least and most.
    """

    side: int = Field(multiple_of=32, gt=0)
    grid: int = Field(default=24, ge=4, multiple_of=2)
    span: tuple[float, float] = (0.2, 0.9)
    batch: int = Field(gt=0)
    length: int = Field(ge=2)
    weight: float = Field(gt=0)


class StillSize(Strict):
    """Side of the square still images for image prompts in pixels, and how many per step."""

    side: int = Field(multiple_of=32, gt=0)
    batch: int = Field(gt=0)


class TrainConfig(Strict):
    """Everything that decides a training run; `configs/train/lite.yaml` explains each key, with its unit and range."""

    model: Literal["lite"] = "lite"
    train: Literal["all", "decoder", "prompts", "hq"] = "all"
    clips: tuple[ClipSource, ...]
    photos: tuple[PhotoSource, ...]
    pack: Path | None = None
    crops: tuple[CropSize, ...] = Field(min_length=1)
    stills: StillSize | None = None
    absent: float = Field(ge=0, lt=1)
    spoilt: float = Field(default=0.35, ge=0, le=1)
    # Named `turning` in configurations of earlier versions
    appearance_change: float = Field(
        default=0.0, ge=0, le=1, validation_alias=AliasChoices("appearance_change", "turning")
    )
    steps: int = Field(gt=0)
    epoch_steps: int | None = Field(default=None, gt=0)
    unfreeze_trunk_at: int = Field(ge=0)
    frozen_blocks: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    trunk_factor: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    ema_decay: float = Field(gt=0, lt=1)
    gradient_clip: float = Field(gt=0)
    seed: int
    threads: int = Field(ge=1)
    loaders: int = Field(default=1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cooldown: float = Field(default=1.0, ge=0, le=1)
    learns_matching: float = Field(default=1.0, ge=0, le=1)
    corrections: float = Field(default=0.0, ge=0, le=1)
    against: float = Field(default=0.0, ge=0, le=1)
    border_weight: float = Field(default=0.0, ge=0)
    thin_weight: float = Field(default=0.0, ge=0)
    fitted_keys: int = Field(default=0, ge=0)
    save_every_seconds: float = Field(gt=0)
    start_from: Path | None = None

    @property
    def sources(self) -> list[ClipSource | PhotoSource]:
        """All sources, clips first."""
        return [*self.clips, *self.photos]

    @model_validator(mode="after")
    def _has_sources(self) -> TrainConfig:
        if not self.clips and not self.photos:
            raise ValueError("clips and photos are both empty, so there is nothing to train on")
        if self.train != "all" and self.start_from is None:
            raise ValueError(f"train: {self.train} needs start_from, the weights that everything else keeps")
        return self
