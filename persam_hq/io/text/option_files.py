"""Readers of small files that people write, YAML and JSON, which refuse content that grows far beyond its size.

Every refusal is a ValueError in one line. A few hundred bytes of YAML can stand for gigabytes (aliases of aliases), and
brackets in brackets or a number of a million digits stop the parsers themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from persam_hq.errors import one_line

__all__ = ["MAX_LIST_BYTES", "MAX_OPTION_BYTES", "parse_json", "parse_yaml", "read_small_text"]

MAX_OPTION_BYTES: Final = 256 * 2**10
"""Of a configuration: fifty times the one that holds every option with its comments."""
MAX_LIST_BYTES: Final = 32 * 2**20
"""Of a list of videos or prompts: a line for each of 300,000 videos. As objects it takes twenty times as much."""

_MAX_VALUES: Final = 10_000
"""Values of a YAML file, aliases counted as often as they stand for something: more than its size allows by hand."""
_MAX_DEPTH: Final = 64
"""Levels of a YAML file; the options of a training, the deepest ones, have five."""
_MAX_DIGITS: Final = 64
"""Characters of a number: no option needs more than 20, and sums of sexagesimal digits take time by their square."""


def read_small_text(path: Path, *, most: int) -> str:
    """The UTF-8 text of a file with at most `most` bytes; OSError, UnicodeDecodeError, or ValueError beyond that."""
    # Pipes and devices have no size to ask for, so one byte more than allowed is read
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes, the most that is read of such a file")
    # Spreadsheets and editors of Windows begin a file with a byte order mark
    return content.decode("utf-8-sig")


def parse_json(text: str) -> Any:
    """The content of JSON; ValueError also where brackets are nested deeper than Python's parser goes."""
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("brackets are nested too deeply") from exc


def parse_yaml(text: str) -> Any:
    """The content of YAML; ValueError where it is none, or holds more than a file of options can."""
    try:
        return yaml.load(text, Loader=_BoundedLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as exc:
        raise ValueError(one_line(exc)) from exc
    except RecursionError as exc:
        raise ValueError("values are nested too deeply") from exc
    except (ArithmeticError, AttributeError, LookupError, TypeError) as exc:
        # Tags on values that are none of their kind, such as `!!int ""` or `!!timestamp x`
        raise ValueError("a value is not what its tag says") from exc


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, with limits to values, nesting and digits; they are checked before anything is built."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0
        self._depth = 0
        self._size_of_anchor: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """See PyYAML's Composer: one value with all that is inside."""
        # An alias stands for as many values as its anchor does. One inside its own anchor has no size.
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        anchor: str | None = event.anchor
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and anchor in self.anchors and anchor not in self._size_of_anchor:
            raise ValueError(f"the alias *{anchor} stands inside of what it stands for")

        # Counted before and after, as the size of an anchor is what lies between
        before, self._depth = self._values, self._depth + 1
        self._values += self._size_of_anchor.get(anchor or "", 1) if is_alias else 1
        if self._values > _MAX_VALUES:
            raise ValueError(f"it stands for more than {_MAX_VALUES:,} values; aliases count as what they stand for")
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"values are nested more than {_MAX_DEPTH} levels deep")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None and not is_alias:
            self._size_of_anchor[anchor] = self._values - before
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """See PyYAML's SafeConstructor: the text of a value, refused where it is a number that is far too long."""
        value = super().construct_scalar(node)
        if node.tag in _NUMBERS and len(value) > _MAX_DIGITS:
            raise ValueError(f"a number has {len(value):,} characters, more than {_MAX_DIGITS}")
        return value


_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
