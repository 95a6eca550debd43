"""JSON and YAML files of users and other programs: parsed within bounds, each refusal as a ValueError of one line.

Python's parsers run out of stack on deep nesting, and expand aliases without end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from persam_hq.errors import one_line

__all__ = ["LARGEST_DOCUMENT", "parse_json", "parse_yaml", "read_document"]

LARGEST_DOCUMENT: Final = 16_000_000
"""Bytes of a file that are read. A configuration has a few thousand, and 255 objects with 1,000 points each 4 million;
parsed, a file takes up to fifty times its size in memory."""
_MOST_NODES: Final = 100_000
"""Values of a YAML file with its aliases written out; configurations have dozens, a bomb of aliases billions."""
_LONGEST_REASON: Final = 200  # characters of a parser's message that are passed on


def read_document(path: Path) -> str:
    """The text of a file, UTF-8; OSError where it cannot be read, ValueError where it is too large or no text."""
    # Devices and pipes have no size before they are read
    with path.open("rb") as file:
        content = file.read(LARGEST_DOCUMENT + 1)
    if len(content) > LARGEST_DOCUMENT:
        raise ValueError(f"it has more than {LARGEST_DOCUMENT / 1e6:g} MB, the most that is read")
    return content.decode("utf-8-sig")


def parse_json(text: str) -> Any:
    """The values of a JSON text. NaN and infinity are for the schema to refuse, which can say where they stand."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    except ValueError as exc:
        raise ValueError(_reason(exc)) from exc


def parse_yaml(text: str) -> Any:
    """The values of a YAML text; ValueError for aliases without end or of too many values as well."""
    try:
        _refuse_many(yaml.compose(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError("it nests too deep, or an alias holds itself") from None
    except yaml.YAMLError as exc:
        raise ValueError(_reason(exc)) from exc
    except (ValueError, OverflowError, TypeError, AttributeError) as exc:
        # Dates and numbers that look like some and are none
        raise ValueError(_reason(exc)) from exc


def _refuse_many(node: yaml.Node | None) -> None:
    """Raise ValueError for aliases that multiply; before values are made, as merging multiplies them already then."""
    if node is not None and _size(node, {}) > _MOST_NODES:
        raise ValueError(f"with its aliases written out it has more than {_MOST_NODES:,} values")


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each alias counted as what it stands for."""
    if id(node) not in known:
        # A node that holds itself is reached again while it is counted
        known[id(node)] = _MOST_NODES
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = list(node.value)
        known[id(node)] = 1 + sum(_size(each, known) for each in inner)
    return known[id(node)]


def _reason(exc: Exception) -> str:
    """A parser's message in one line; the place that a YAML error shows comes with it."""
    return one_line(exc)[:_LONGEST_REASON]
