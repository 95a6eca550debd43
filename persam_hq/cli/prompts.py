"""Prompts of `persam-hq segment`, from options or a JSON file, and their checks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from persam_hq.cli.prompt_files import as_object, is_object
from persam_hq.errors import InputError
from persam_hq.io.text.option_files import MAX_LIST_BYTES, parse_json, read_small_text


class ObjectPrompt(BaseModel):
    """Prompts of one object: points x, y, label (1 on it, 0 beside it), a box x0, y0, x1, y1, a rough mask's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: Path | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ObjectPrompt:
        if any(label not in {0, 1} for _, _, label in self.points):
            raise ValueError("a point's label is 1 (on the object) or 0 (beside it)")
        if self.box is None and self.mask is None and not any(label == 1 for _, _, label in self.points):
            raise ValueError("an object needs a box, a mask or a point with label 1")
        if self.box is not None and (self.box[0] >= self.box[2] or self.box[1] >= self.box[3]):
            raise ValueError("a box is x0, y0, x1, y1 with x0 < x1 and y0 < y1")
        return self

    def refuse_outside(self, *, width: int, height: int, image: Path) -> None:
        """Raise InputError where a point or all of the box lies outside of an image."""
        for x, y, _ in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise InputError(
                    f"{image} is {width}x{height}, the point {x:g},{y:g} is outside; give pixels of the image"
                )
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                corners = f"{x0:g},{y0:g},{x1:g},{y1:g}"
                raise InputError(f"{image} is {width}x{height}, the box {corners} is outside; give pixels of the image")


class _PromptFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: tuple[ObjectPrompt, ...] = Field(min_length=1, max_length=255)


ImagePrompts = dict[str, tuple[ObjectPrompt, ...]]
"""The objects of each image, by the image's file name."""


def parse_point(text: str) -> tuple[float, float, int]:
    """A point as the option --point gives it: X,Y or X,Y,LABEL."""
    try:
        x, y, label = (text if text.count(",") == 2 else f"{text},1").split(",")
        return float(x), float(y), int(label)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no point; expected X,Y or X,Y,LABEL with label 1 or 0") from exc


def parse_box(text: str) -> tuple[float, ...]:
    """A box as the option --box gives it: X0,Y0,X1,Y1."""
    try:
        x0, y0, x1, y1 = (float(value) for value in text.split(","))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no box; expected X0,Y0,X1,Y1") from exc
    return x0, y0, x1, y1


def prompts_of(options: argparse.Namespace) -> ImagePrompts:
    """The prompts of each image: one object from --point, --box and --mask-prompt, or what the --prompts file says."""
    names = [image.name for image in options.images]
    if options.prompts is None:
        one = {"points": options.point or (), "box": options.box, "mask": options.mask_prompt}
        if not options.point and options.box is None and options.mask_prompt is None:
            wanted = "give --point X,Y or --box X0,Y0,X1,Y1 or --mask-prompt FILE or --prompts JSON"
            raise InputError(f"nothing says what to segment; {wanted}")
        return dict.fromkeys(names, _checked([one], source="--point and --box"))
    if options.point or options.box is not None or options.mask_prompt is not None:
        raise InputError("--prompts and --point, --box or --mask-prompt exclude each other; put all into the file")
    return _from_file(options.prompts, names)


def _from_file(path: Path, names: Sequence[str]) -> ImagePrompts:
    """The prompts of each image from a JSON file; see docs/reference/prompt-files.md."""
    try:
        content = parse_json(read_small_text(path, most=MAX_LIST_BYTES))
    except OSError as exc:
        raise InputError(f"cannot read the prompts {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InputError(f"{path} is no JSON: {exc}; give a file as docs/reference/prompt-files.md has it") from exc

    # The same objects for every image
    if isinstance(content, list) or is_object(content):
        return dict.fromkeys(names, _checked(_records(content, source=str(path)), source=str(path), folder=path.parent))

    # Objects by the file name of the image
    if not isinstance(content, dict):
        raise InputError(f"{path} holds neither a list of objects nor one for each image's file name; see --help")
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(f"{path} has no prompts for {missing[0]}; add its file name with a list of objects")
    found = {}
    for name in names:
        source = f"{path}, {name}"
        found[name] = _checked(_records(content[name], source=source), source=source, folder=path.parent)
    return found


def _records(content: Any, *, source: str) -> Any:
    """The objects of a file in the layout of ObjectPrompt; one that stands by itself is a list of one."""
    if not isinstance(content, list) and not is_object(content):
        return content
    records = []
    for index, record in enumerate(content if isinstance(content, list) else [content]):
        try:
            records.append(as_object(record))
        except ValueError as exc:
            raise InputError(f"{source}: object {index} {exc}") from exc
    return records


def _checked(objects: Any, *, source: str, folder: Path = Path()) -> tuple[ObjectPrompt, ...]:
    """Objects checked by their schema; paths of masks are relative to `folder`."""
    try:
        found = TypeAdapter(_PromptFile).validate_python({"objects": objects}).objects
        return tuple(item.model_copy(update={"mask": item.mask and folder / item.mask}) for item in found)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        where = f" object {place}" if place else ""
        raise InputError(f"{source}:{where} {first['msg'].removeprefix('Value error, ')}") from exc
