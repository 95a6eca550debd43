"""The command `persamhq-video compare`: several strategies on one video."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import NoReturn

from persam_hq.io.paths import expand_home
from persam_hq.io.text.shown_text import redact_secrets
from persamhq_video.cli.options import add_run_options, config_of
from persamhq_video.cli.progress import report_progress
from persamhq_video.config import RunConfig, load_config
from persamhq_video.errors import ConfigError

__all__ = ["parse_try", "run"]


def run(args: argparse.Namespace) -> int:
    """Compare, and print the table."""
    # Imported here, as NumPy and OpenCV come with it: `--help` does without.
    from persamhq_video.compare import Contender, plan_comparison

    # The common options, and those of each strategy over them
    base = config_of(args)
    named = [parse_try(text) for text in args.tries]
    contenders = [Contender.over(base, name, spec, own) for name, spec, own in named]

    # Everything that can be wrong is found before anything runs
    annotations = None if args.annotations is None else Path(args.annotations)
    plan = plan_comparison(
        contenders, video=Path(args.video), mask=args.mask, out=Path(args.out), annotations=annotations
    )
    from persamhq_video.compare import run_comparison

    command = redact_secrets(shlex.join(["persamhq-video", *args.command]))
    with report_progress(quiet=args.quiet, as_json=args.json) as listener:
        table = run_comparison(plan, command=command, listener=listener)
    if not args.quiet and not args.json:
        print(table.text(), end="")
        print(f"results in {args.out}")
    return 0


def parse_try(text: str) -> tuple[str, str, RunConfig]:
    """Split `NAME=SPEC` into name, spec and the options that the spec sets: those of a YAML file, or flags of `run`."""
    name, equals, spec = text.partition("=")
    if not name or not equals:
        raise ConfigError(f"got --try {text!r}; expected NAME=OPTIONS, such as near='--prompts persam_video'")
    try:
        return name, spec.strip(), _options(spec)
    except ConfigError as exc:
        raise ConfigError(f"--try {name}: {exc}") from exc


def _options(spec: str) -> RunConfig:
    """The options of a spec; what starts with a dash is flags, anything else the path of a file."""
    try:
        words = shlex.split(spec)
    except ValueError as exc:
        raise ConfigError(f"got {spec!r}; expected flags as in a shell ({exc})") from exc
    if words and not words[0].startswith("-"):
        return load_config(Path(expand_home(spec.strip())), {})
    parser = _FlagParser(add_help=False, usage=argparse.SUPPRESS)
    add_run_options(parser)
    return config_of(parser.parse_args(words))


class _FlagParser(argparse.ArgumentParser):
    """A parser of a run's flags alone, whose errors are raised instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)
