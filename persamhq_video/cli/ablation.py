"""The command `scripts/ablation`: the tracker scored with and without each of its parts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from persam_hq.evaluation import DavisDataset
from persamhq_video.cli.dataset_options import ChosenSequences, comparison_parser
from persamhq_video.cli.main import run_guarded
from persamhq_video.cli.options import config_of, names_in
from persamhq_video.cli.progress import report_progress
from persamhq_video.evaluation import ABLATIONS, Variant, ablation_table, parse_variant, score_variant
from persamhq_video.job.prepare import make_job

__all__ = ["main"]

_FULL: Final = Variant("full", {})
"""The run itself, which the others are compared with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Score the run and each variant of it, and print the table."""
    parser = comparison_parser(
        "ablation", "Score a run on annotated videos, and the same run with parts of it changed."
    )
    parser.add_argument(
        "--try",
        dest="tries",
        nargs="+",
        action="append",
        metavar=("NAME", "KEY=VALUE"),
        help="a variant and the options it changes, dotted where nested; repeatable (default: a built-in list)",
    )
    args = parser.parse_args(argv)
    return run_guarded(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    variants = ABLATIONS if args.tries is None else tuple(map(parse_variant, args.tries))
    dataset, base = DavisDataset(args.root), config_of(args)
    for variant in variants:
        # Errors in any of them are found before the first one runs
        make_job(variant.config(base))

    chosen = ChosenSequences.choose(dataset, names_in(args.sequences))
    with report_progress(quiet=args.quiet, as_json=args.json) as listener:
        scored = [score_variant(variant, base, chosen.all, listener=listener) for variant in (_FULL, *variants)]
    if not args.json:
        print(ablation_table(scored), end="")
    return 0
