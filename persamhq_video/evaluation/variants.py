"""Variants of a run for benchmarks: a name, and the options in which each differs from the run it is derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from persam_hq.io.mappings import deep_merge
from persam_hq.io.text.option_files import parse_yaml
from persamhq_video.config import PartName, RunConfig, make_config
from persamhq_video.errors import ConfigError

__all__ = ["ABLATIONS", "SIDE_BY_SIDE", "Variant", "parse_variant"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Options of a RunConfig, nested where the configuration is; an empty mapping is the run itself."""

    name: str
    options: Mapping[str, Any]

    def config(self, base: RunConfig) -> RunConfig:
        """`base` with this variant's options; a wrong one is a ConfigError that names the variant."""
        try:
            return make_config(deep_merge(base.model_dump(exclude_unset=True), self.options))
        except ConfigError as exc:
            raise ConfigError(f"variant {self.name!r}: {exc}") from exc


SIDE_BY_SIDE: Final = (
    Variant("auto", {}),
    Variant("auto, HQ decoder", {"decoder": "hq"}),
    Variant("independent", {"mode": "independent"}),
    Variant("PerSAM as published", {"published": True}),
)
"""The modes of the tracker that `scripts/side_by_side` puts beside the baselines."""

ABLATIONS: Final = (
    Variant("no guidance", {"no_guidance": True}),
    Variant("mode independent", {"mode": "independent"}),
    Variant("decoder hq", {"decoder": "hq"}),
    Variant("no drop_specks", {"refine": []}),
    *(Variant(f"without {part}", {"without": [part]}) for part in get_args(PartName)),
)
"""The parts that `scripts/ablation` takes away or replaces, one at a time."""


def parse_variant(words: Sequence[str]) -> Variant:
    """`NAME key=value ...` as a variant; a dotted key means a nested option, values are read as YAML."""
    name, *assignments = words
    if not assignments or "=" in name:
        raise ConfigError(f"got the variant {' '.join(words)!r}; expected NAME key=value, such as quick stride=2")
    options: dict[str, Any] = {}
    for assignment in assignments:
        options = deep_merge(options, _parse(assignment))
    return Variant(name, options)


def _parse(assignment: str) -> dict[str, Any]:
    """The nested options of an assignment: `a.b=c` is {"a": {"b": "c"}}."""
    key, equals, text = assignment.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"got {assignment!r}; expected key=value, with dots in the key for a nested option")
    try:
        value = parse_yaml(text)
    except ValueError as exc:
        raise ConfigError(
            f"got {assignment!r}; expected a value as in a YAML file, such as false, 3 or [a, b]"
        ) from exc

    # From the innermost key outwards
    for part in reversed(parts):
        value = {part: value}
    assert isinstance(value, dict), "there is at least one part"
    return value
