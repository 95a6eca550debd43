"""Which strategy a run uses, and with which options: `name`, or `name:option=value,option=value`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, model_serializer, model_validator

__all__ = ["StrategyChoice"]

_COMMA: Final = re.compile(r",(?![^\[]*\])")
"""A comma that is not inside brackets: these hold lists."""


class StrategyChoice(BaseModel):
    """A strategy by name, and the options it is made with.

    Read from text, or from a mapping of the name to its options; written as the shorter of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, str):
            return _parse(value)
        if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
            ((name, options),) = value.items()
            return {"name": name, "options": {} if options is None else options}
        return value

    @model_serializer
    def _write(self) -> str | dict[str, Any]:
        return {self.name: dict(self.options)} if self.options else self.name

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


def _parse(text: str) -> dict[str, Any]:
    name, _, rest = text.partition(":")
    options = {}
    for part in _COMMA.split(rest) if rest else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{part.strip()!r} is no option; expected NAME:OPTION=VALUE,OPTION=VALUE")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise ValueError(f"the value of {part.strip()!r} cannot be read") from exc
    return {"name": name.strip(), "options": options}
