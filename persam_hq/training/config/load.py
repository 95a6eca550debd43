"""Reader of training configurations in YAML: lite's or a SAM-type model's, alone or extending another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from persam_hq.errors import InputError, one_line
from persam_hq.io.mappings import deep_merge
from persam_hq.io.text.option_files import MAX_OPTION_BYTES, parse_yaml, read_small_text
from persam_hq.training.config.lite import TrainConfig
from persam_hq.training.config.sam import SamTrainConfig

BASE_KEY = "extends"
"""Key that names the file whose content this one changes."""


def load_train_config(path: Path) -> TrainConfig | SamTrainConfig:
    """Read YAML; relative paths in it are relative to the working directory, but that of `extends` to its own file.

    A file that `extends` another holds only what differs: mappings are merged, anything else is replaced. Raises
    InputError with one line that names the offending key.
    """
    content = _read(path, above=())
    is_lite = content.get("model", "lite") == "lite"
    try:
        return TrainConfig.model_validate(content) if is_lite else SamTrainConfig.model_validate(content)
    except ValidationError as exc:
        # The first error is enough to go on with; the others often follow from it
        first = exc.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path} is not a training configuration: {key}: {first['msg']}") from exc


def _read(path: Path, *, above: tuple[Path, ...]) -> dict[str, Any]:
    """The mapping in a file, merged into the one that it extends; `above` are the files that led here."""
    if path.resolve() in above:
        raise InputError(f"{path} is not a training configuration: {BASE_KEY} leads back to it; remove one of them")

    content = _parse(path)
    base = content.pop(BASE_KEY, None)
    if base is None:
        return content
    if not isinstance(base, str) or "\0" in base:
        raise InputError(f"{path} is not a training configuration: {BASE_KEY}: expected the name of a YAML file")
    return deep_merge(_read(path.parent / base, above=(*above, path.resolve())), content)


def _parse(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, as it stands."""
    try:
        content = parse_yaml(read_small_text(path, most=MAX_OPTION_BYTES))
    except OSError as exc:
        raise InputError(f"cannot read the training configuration {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InputError(f"{path} is not a training configuration: {one_line(exc)}") from exc
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a training configuration: expected keys with values, one a line")
    return content
