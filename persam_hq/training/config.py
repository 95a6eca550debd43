"""The training configuration, parsed once from YAML."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from persam_hq.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipSource(_Strict):
    """Video folders in DAVIS layout and the names of the clips that may be trained on."""

    root: Path
    names: tuple[str, ...]
    weight: float = Field(gt=0)


class PhotoSource(_Strict):
    """Photos with label maps."""

    root: Path
    background: bool
    weight: float = Field(gt=0)


class CropSize(_Strict):
    """Side of the square training crops in pixels, clips a step, frames a clip, and how often this size is drawn."""

    side: int = Field(multiple_of=32, gt=0)
    batch: int = Field(gt=0)
    length: int = Field(ge=2)
    weight: float = Field(gt=0)


class StillSize(_Strict):
    """Side of the square crops of photos for image prompts in pixels, and how many a step."""

    side: int = Field(multiple_of=32, gt=0)
    batch: int = Field(gt=0)


class TrainConfig(_Strict):
    """Everything that decides a run; `configs/train/lite.yaml` says what each key means."""

    clips: tuple[ClipSource, ...]
    photos: tuple[PhotoSource, ...]
    crops: tuple[CropSize, ...] = Field(min_length=1)
    stills: StillSize | None = None
    absent: float = Field(ge=0, lt=1)
    steps: int = Field(gt=0)
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
    save_every_seconds: float = Field(gt=0)
    start_from: Path | None = None

    @model_validator(mode="after")
    def _has_sources(self) -> TrainConfig:
        if not self.clips and not self.photos:
            raise ValueError("clips and photos are both empty, so there is nothing to train on")
        return self


def load_train_config(path: Path) -> TrainConfig:
    """Read YAML; relative paths in it are relative to the working directory.

    Raises InputError with one line that names the offending key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TrainConfig.model_validate(content)
    except OSError as exc:
        raise InputError(f"cannot read the training configuration {path}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is not a training configuration: {' '.join(str(exc).split())}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path} is not a training configuration: {key}: {first['msg']}") from exc
