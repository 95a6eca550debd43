"""The training configuration of SAM-type models; `persam_hq.training.config.load` reads it from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from persam_hq.training.config.lite import ClipSource, PhotoSource, Strict

Part = Literal["image_encoder", "prompt_encoder", "mask_decoder", "hq"]
"""Parts of a model that can be trained by themselves; `hq` is the HQ token with its layers."""
PromptKind = Literal["point", "points", "box", "mask", "prior"]
"""Simulated prompts; `prior` are PerSAM's points, found by similarity to a reference."""


class PairSource(Strict):
    """A folder of images and one of masks, or one folder with both: an image and its mask have the same stem."""

    images: Path
    masks: Path
    weight: float = Field(gt=0)


class DataSources(Strict):
    """Sources of objects: image and mask pairs, photos with label maps, clips in DAVIS layout."""

    pairs: tuple[PairSource, ...] = ()
    photos: tuple[PhotoSource, ...] = ()
    clips: tuple[ClipSource, ...] = ()

    @model_validator(mode="after")
    def _has_sources(self) -> DataSources:
        if not (self.pairs or self.photos or self.clips):
            raise ValueError("pairs, photos and clips are all empty, so there is nothing to train on")
        return self


class TrainingStage(Strict):
    """One stage of a run: its length in epochs or steps, the parts that learn in it, and how fast."""

    name: str = Field(min_length=1)
    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    train: tuple[Part, ...] = Field(min_length=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainingStage:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


class SamTrainConfig(Strict):
    """Everything that decides a training run; `configs/train/vit_b.yaml` explains each key, with its unit and range."""

    model: Literal["vit_b", "vit_l", "vit_h", "vit_tiny"]
    start_from: Path
    decoder_from: Path | None = None
    data: DataSources
    validation: DataSources | None
    validation_rows: int = Field(gt=0)
    batch: int = Field(gt=0)
    prompts: dict[PromptKind, float]
    guided_attention: float = Field(ge=0, le=1)
    target_embedding: float = Field(ge=0, le=1)
    second_pass: float = Field(ge=0, le=1)
    loss_points: int = Field(gt=0)
    stages: tuple[TrainingStage, ...] = Field(min_length=1)
    epoch_steps: int = Field(gt=0)
    encoder_factor: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    ema_decay: float = Field(gt=0, lt=1)
    gradient_clip: float = Field(gt=0)
    precision: Literal["float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    seed: int = Field(ge=0)
    threads: int = Field(ge=1)
    save_every_seconds: float = Field(gt=0)

    @field_validator("prompts")
    @classmethod
    def _normalised(cls, weights: dict[PromptKind, float]) -> dict[PromptKind, float]:
        """Turn weights into probabilities."""
        total = sum(weights.values())
        if min(weights.values(), default=0) < 0 or total <= 0:
            raise ValueError("expected weights >= 0, one of them above 0")
        return {kind: weight / total for kind, weight in weights.items()}
