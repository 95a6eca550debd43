"""Files of PerSAM-F's scale weights, JSON: written by `personalize --save-weights`, read by other commands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from persam_hq.errors import InputError, OutputError
from persam_hq.io.atomic import atomic_write
from persam_hq.io.text.option_files import MAX_LIST_BYTES, parse_json, read_small_text

__all__ = [
    "ObjectWeights",
    "ReferenceHashes",
    "read_mask_weights",
    "reference_hashes",
    "weights_of",
    "write_mask_weights",
]

Weights = tuple[float, float, float]


class ReferenceHashes(BaseModel):
    """SHA-256 of the files of a reference, hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    mask: str


class ObjectWeights(BaseModel):
    """One object's fit: weights of the three masks, which sum to 1, and the loss that they leave on the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights: Weights
    loss: float
    solver: Literal["optimal", "published", "published_video"]
    reference: ReferenceHashes


class _WeightsFile(BaseModel):
    """The whole file; format and version tell it from any other JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["persam-hq mask weights"] = "persam-hq mask weights"
    version: Literal[1] = 1
    objects: dict[str, ObjectWeights] = Field(min_length=1)


def reference_hashes(image: Path, mask: Path) -> ReferenceHashes:
    """SHA-256 of the two files that a reference was read from."""
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (image, mask))
    return ReferenceHashes(image=first, mask=second)


def write_mask_weights(path: Path, objects: Mapping[str, ObjectWeights]) -> None:
    """Weights by the objects' ids; OutputError where the file cannot be written, and what was there stays."""
    text = _WeightsFile(objects=dict(objects)).model_dump_json(indent=2)
    try:
        atomic_write(path, f"{text}\n".encode())
    except OSError as exc:
        raise OutputError(f"cannot write the mask weights {path}: {exc.strerror}; choose another file") from exc


def read_mask_weights(path: Path) -> Mapping[str, ObjectWeights]:
    """Weights by the objects' ids; InputError, in one line, where the file says something else."""
    # Not there, no JSON, or another JSON: each has its own message
    try:
        content = parse_json(read_small_text(path, most=MAX_LIST_BYTES))
    except OSError as exc:
        raise InputError(f"cannot read the mask weights {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InputError(f"{path} is no JSON: {exc}; give a file that personalize --save-weights wrote") from exc

    # The first thing that does not fit is named; a list of all would be no line
    try:
        return _WeightsFile.model_validate(content).objects
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        advice = "give a file that personalize --save-weights wrote"
        raise InputError(f"{path} holds no mask weights: {place}: {first['msg']}; {advice}") from exc


def weights_of(objects: Mapping[str, ObjectWeights], name: str) -> Weights:
    """The weights of the object `name`; where the file has one object only, its weights serve all."""
    if name in objects:
        return objects[name].weights
    if len(objects) == 1:
        return next(iter(objects.values())).weights
    raise InputError(f"there are no mask weights for object {name}, only for {', '.join(objects)}; fit them first")
