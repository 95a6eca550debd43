"""The command `scripts/side_by_side`: the tracker in its modes and baselines, scored on one data set, in one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persam_hq.evaluation import DavisDataset, DavisSequence, csv_name, write_csv
from persamhq_video.cli.dataset_options import ChosenSequences, comparison_parser
from persamhq_video.cli.main import run_guarded
from persamhq_video.cli.options import config_of, names_in
from persamhq_video.cli.progress import report_progress
from persamhq_video.evaluation import (
    SIDE_BY_SIDE,
    ScoredMethod,
    build_baselines,
    score_baseline,
    score_variant,
    side_by_side_table,
)
from persamhq_video.job.prepare import make_job

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Score everything and print the table."""
    parser = comparison_parser("side_by_side", "Score the tracker in its modes, and baselines, on annotated videos.")
    parser.add_argument("--trained-on", metavar="A,B", help="sequences the weights were trained on, shown apart")
    parser.add_argument("--out", metavar="DIR", help="where the table goes, and a CSV file a method")
    args = parser.parse_args(argv)
    return run_guarded(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    dataset, base = DavisDataset(args.root), config_of(args)
    chosen = ChosenSequences.choose(dataset, names_in(args.sequences), names_in(args.trained_on))

    # The tracker first, then the baselines
    with report_progress(quiet=args.quiet, as_json=args.json) as listener:
        scored = [score_variant(variant, base, chosen.all, listener=listener) for variant in SIDE_BY_SIDE]
    baselines = build_baselines(make_job(base).config)
    scored += [score_baseline(name, baseline, chosen.all) for name, baseline in baselines.items()]

    # One table for both groups of sequences
    unseen, trained_on = _names(chosen.unseen), _names(chosen.trained_on)
    table = side_by_side_table(scored, unseen=unseen, trained_on=trained_on)
    if args.out is not None:
        _write(scored, Path(args.out), table, {"": unseen, "trained-on": trained_on})
    if not args.json:
        print(f"J&F (J, F) in percent\n\n{table}", end="")
    return 0


def _write(scored: Sequence[ScoredMethod], out: Path, table: str, groups: dict[str, list[str]]) -> None:
    """Write the table as Markdown, and a CSV file per method with every measure; each group has its folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "side_by_side.md").write_text(table, encoding="utf-8")
    for folder, names in groups.items():
        for one in scored if names else ():
            write_csv(one.on(names), out / folder / csv_name(one.table))


def _names(sequences: Sequence[DavisSequence]) -> list[str]:
    return [sequence.name for sequence in sequences]
