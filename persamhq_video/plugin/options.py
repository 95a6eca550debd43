"""The options of a strategy: the keyword arguments of its factory, checked by pydantic against their annotations."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, create_model

from persam_hq.errors import did_you_mean, one_line, shown
from persamhq_video.errors import ConfigError, PluginError

__all__ = ["Option", "check_options", "list_options", "options_model"]

_LIMITS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
"""Keys of a JSON schema, and how the limit that each one sets is shown."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option as `plugins show` prints it."""

    name: str
    type: str
    default: str
    doc: str


def options_model(factory: Callable[..., Any]) -> type[BaseModel]:
    """A model with a field for each keyword argument; PluginError where the signature cannot be read."""
    # The annotations of a class are those of its constructor; a signature can be read of both.
    made = factory.__init__ if inspect.isclass(factory) else factory
    try:
        hints = typing.get_type_hints(made, include_extras=True)
        parameters = inspect.signature(factory).parameters.values()
        fields: dict[str, Any] = {
            p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
            for p in parameters
            if p.kind in {p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD}
        }
        return create_model("Options", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields)
    except (NameError, TypeError, ValueError, PydanticUserError) as exc:
        raise PluginError(f"the options of {factory!r} cannot be read: {one_line(exc)}") from exc


def check_options(what: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a strategy: the values given, and defaults for the rest; `what` names the strategy in errors."""
    model = options_model(factory)
    try:
        checked = model.model_validate(dict(options))
    except ValidationError as exc:
        raise ConfigError(_first_error(what, exc, tuple(model.model_fields))) from exc
    return {name: getattr(checked, name) for name in model.model_fields}


def list_options(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The options with their types, defaults and descriptions."""
    # pydantic's JSON schema has everything as plain data
    schema = options_model(factory).model_json_schema()
    required = schema.get("required", ())
    return tuple(
        Option(
            name=name,
            type=_type_text(described),
            default="none: it has to be given" if name in required else str(described.get("default")),
            doc=described.get("description", ""),
        )
        for name, described in schema.get("properties", {}).items()
    )


def _type_text(schema: Mapping[str, Any]) -> str:
    """A type as text: its choices, its alternatives, or its name with limits."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(map(_type_text, schema["anyOf"]))
    limits = [f"{sign} {schema[key]}" for key, sign in _LIMITS.items() if key in schema]
    return ", ".join([str(schema.get("type", "anything")), *limits])


def _first_error(what: str, error: ValidationError, known: tuple[str, ...]) -> str:
    """The first of pydantic's errors as one line in our words."""
    # One at a time: later ones often follow from the first
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0]) if first["loc"] else "options"
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(option, known)
        return f"the {what} has no option {shown(option)}{hint}; it has: {', '.join(known) or 'none'}"
    if first["type"] == "missing":
        return f"the {what} needs its option {option!r}"
    message = first["msg"]
    return f"option {option!r} of the {what}: got {shown(first['input'])}; {message[:1].lower()}{message[1:]}"
