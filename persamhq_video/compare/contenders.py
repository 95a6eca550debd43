"""The strategies to compare: a name and options for each; options that decide the features are the same for all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from persamhq_video.compare.folder import FILE_NAMES
from persamhq_video.config import RunConfig, make_config
from persamhq_video.errors import ConfigError

__all__ = ["STRATEGY_OPTIONS", "Contender", "check_contenders"]

STRATEGY_OPTIONS: Final = frozenset(
    {
        "blocked_plugins",
        "decoder",
        "keep_interm",
        "mode",
        "no_guidance",
        "plugins",
        "prompts",
        "published",
        "refine",
        "without",
    }
)
"""Options in which contenders may differ: no feature depends on them."""

_REFUSED_OPTIONS: Final = ("outputs", "matte_codec", "no_resume")
"""Options without any effect here: a comparison always writes the same files, and always anew."""
_FEWEST: Final = 2
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
"""A name is a folder's, in a table and above a tile: 40 characters at most, and none that a shell or disk minds."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the strategies: its name, its options as written on the command line, and its whole configuration."""

    name: str
    spec: str
    config: RunConfig

    @classmethod
    def over(cls, base: RunConfig, name: str, spec: str, own: RunConfig) -> Contender:
        """The options of `base`, and over them those that are set in `own`; a wrong one is a ConfigError."""
        options = {**base.model_dump(exclude_unset=True), **own.model_dump(exclude_unset=True)}
        try:
            return cls(name, spec, make_config(options))
        except ConfigError as exc:
            raise ConfigError(f"--try {name}: {exc}") from exc


def check_contenders(contenders: Sequence[Contender]) -> None:
    """A ConfigError says what is wrong with their number, a name, or options that they have to share."""
    if len(contenders) < _FEWEST:
        raise ConfigError(f"got {len(contenders)} strategy to compare; give --try NAME=OPTIONS twice or more")
    seen: set[str] = set()
    for contender in contenders:
        _check_name(contender.name)
        # Each has a folder, and some file systems do not distinguish A from a
        if contender.name.lower() in seen:
            raise ConfigError(f"--try {contender.name}: there are two of that name; give each a name of its own")
        seen.add(contender.name.lower())
        _check_options(contender, contenders[0])


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--try {name!r}: got no name for a folder; use up to 40 of A-Z a-z 0-9 _ . -")
    if name.lower() in FILE_NAMES:
        raise ConfigError(f"--try {name}: a file of the comparison has that name; use another one")


def _check_options(contender: Contender, first: Contender) -> None:
    refused = [option for option in _REFUSED_OPTIONS if option in contender.config.model_fields_set]
    if refused:
        raise ConfigError(f"--try {contender.name}: compare has no use for the option {refused[0]}; leave it out")

    # Everything but the strategy's own options has to be as the first contender has it.
    ours, theirs = _shared(contender.config), _shared(first.config)
    differences = [f"{name} ({ours[name]}, {theirs[name]})" for name in ours if ours[name] != theirs[name]]
    if differences:
        raise ConfigError(
            f"--try {contender.name}: differs from {first.name} in {', '.join(differences)}; all strategies work on the"
            " same features, so such options come once, before --try"
        )


def _shared(config: RunConfig) -> dict[str, Any]:
    """The options that all contenders have in common."""
    return {name: getattr(config, name) for name in RunConfig.model_fields if name not in STRATEGY_OPTIONS}
