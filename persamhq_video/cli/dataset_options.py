"""Options of the scripts that score runs on a data set, and the choice of its sequences."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from persam_hq.evaluation import DavisDataset, DavisSequence
from persamhq_video.cli.options import add_report_options, add_run_options
from persamhq_video.errors import ConfigError

__all__ = ["ChosenSequences", "comparison_parser"]


def comparison_parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser of ROOT, --sequences, and the options of the run that everything is compared with."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("root", metavar="ROOT", help="folder with JPEGImages and Annotations (also under 480p)")
    parser.add_argument("--sequences", metavar="A,B", help="only these sequences (default: all)")
    add_run_options(parser)
    add_report_options(parser)
    return parser


@dataclass(frozen=True, slots=True)
class ChosenSequences:
    """The sequences to score: those that the weights have never seen, and those that they were trained on."""

    unseen: tuple[DavisSequence, ...]
    trained_on: tuple[DavisSequence, ...] = ()

    @classmethod
    def choose(
        cls, dataset: DavisDataset, names: Sequence[str] | None, trained_on: Sequence[str] | None = None
    ) -> Self:
        """Choose the named ones, or all that were not trained on; one that is both is a ConfigError."""
        seen = list(trained_on or ())
        unseen = [name for name in dataset.names if name not in seen] if names is None else list(names)

        # A sequence counts once, and there has to be one
        both = sorted({*unseen} & {*seen})
        if both:
            raise ConfigError(f"{both[0]} is in --sequences and in --trained-on; name it in one of them")
        if not unseen + seen:
            raise ConfigError("got no sequence at all; expected names in --sequences, such as goat,camel")
        return cls(tuple(dataset.select(unseen)), tuple(dataset.select(seen)))

    @property
    def all(self) -> tuple[DavisSequence, ...]:
        """The unseen ones, then those trained on."""
        return self.unseen + self.trained_on
