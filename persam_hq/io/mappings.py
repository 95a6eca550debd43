"""Nested mappings of options, as YAML files and command lines give them, merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["deep_merge"]


def deep_merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings as one, `above` winning; mappings inside them are merged in the same way."""
    merged = dict(below)
    # Keys keep the order of `below`; a value that is a mapping on one side only is replaced as a whole
    for key, value in above.items():
        inner = merged.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = deep_merge(inner, value) if both else value  # type: ignore[arg-type]
    return merged
