"""Options that commands share. A flag that is not given leaves no attribute, so that a file's value counts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from persamhq_video.config import (
    OUTPUT_NAMES,
    DecoderName,
    DetailName,
    DeviceName,
    DtypeName,
    ExecutorName,
    MatteCodecName,
    ModelName,
    ModeName,
    NumberingName,
    PartName,
    PlaceName,
    ReaderName,
    RunConfig,
    load_config,
)
from persamhq_video.errors import ConfigError

__all__ = ["add_mask_options", "add_report_options", "add_run_options", "config_of", "names_in"]

_SUPPRESS: Any = argparse.SUPPRESS
"""A flag that is not given has no attribute, where argparse would set None over a file's value."""


def add_mask_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for masks and the output folder."""
    parser.add_argument(
        "--mask",
        metavar="PATH",
        help="first-frame mask: an image, or a folder or pattern with one a video, such as 'masks/{stem}.png'"
        " (not needed where every row of a manifest has one)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where results go, DIR/<stem>/ for several videos (not needed where every row of a manifest has one)",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide how much is printed while running."""
    group = parser.add_argument_group("report")
    group.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    group.add_argument("--json", action="store_true", help="events on standard output, one JSON object a line")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add every option of a RunConfig, as a flag of the same name."""
    parser.add_argument(
        "--config",
        metavar="YAML",
        help="read options from a file, or by name from a shipped one, such as steady; flags win over it",
    )
    _add_model_options(parser.add_argument_group("model and strategies"))
    _add_source_options(parser.add_argument_group("source"))
    _add_executor_options(parser.add_argument_group("executor"))
    _add_output_options(parser.add_argument_group("results"))


def config_of(args: argparse.Namespace, **fixed: Any) -> RunConfig:
    """The configuration from the flags, over the file that they name; `fixed` are a command's own settings."""
    # Of all attributes those that are options of a run; `--outputs a,b` is text, which a file has as a list
    flags = {name: value for name, value in vars(args).items() if name in RunConfig.model_fields}
    if isinstance(flags.get("outputs"), str):
        flags["outputs"] = _split(flags["outputs"])
    path = getattr(args, "config", None)
    return load_config(None if path is None else Path(path), {**flags, **fixed})


def names_in(text: str | None) -> list[str] | None:
    """The names in `a,b` as a list; None where the option was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    # The model and its weights
    _choice(group, "--model", ModelName, "which model (default: lite)")
    _value(
        group,
        "--checkpoint",
        "PATH",
        "weights file, or a downloaded name of `persam-hq checkpoints list` (default: those that come along)",
    )

    # The strategies, and the plugins they come from
    _choice(group, "--mode", ModeName, "whether a frame uses the results before it (default: auto)")
    _value(
        group,
        "--prompts",
        "NAME[:OPTION=VALUE,...]",
        "prompt selector, such as top_k_points:num_positive=2 (default: by mode; see `plugins list`)",
    )
    text = "mask refiner, repeatable; `none` for none (default: by mode)"
    _several(group, "--refine", "refine", "NAME[:OPTION=VALUE,...]", text)
    _value(
        group, "--mask-weights", "FILE", "PerSAM-F's weights, of personalize --save-weights; scale_weights comes first"
    )
    _several(group, "--plugin", "plugins", "FILE|MODULE", "plugin to load beside the built-in ones, repeatable")
    _several(group, "--block-plugin", "blocked_plugins", "NAME", "plugin to leave out, also a built-in one, repeatable")

    # Parts of the tracker and of the decoder
    _flag(group, "--no-guidance", "without target-guided attention and target embedding")
    parts = ", ".join(get_args(PartName))
    _several(group, "--without", "without", "PART", f"leave out a part of lite's tracker, repeatable: {parts}")
    _flag(group, "--published", "reproduce the published scripts to the letter")
    _choice(
        group,
        "--decoder",
        DecoderName,
        "with the HQ-Output token, or SAM's mask tokens alone (auto: hq, but sam for lite)",
    )
    _choice(group, "--detail", DetailName, "how finely lite sees; fine takes several times as long (default: normal)")
    _flag(group, "--keep-interm", "keep the interm embeddings for refiners that ask for them")


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    _value(group, "--source", "NAME", "kind of frame source (default: the first that takes VIDEO; see `plugins list`)")
    _choice(group, "--reader", ReaderName, "what decodes video files (default: pyav)")
    _value(group, "--start", "N", "first frame, which the mask belongs to (default: 0)")
    _value(group, "--end", "N", "frame to stop before (default: none)")
    _value(group, "--stride", "N", "take every N-th frame (default: 1)")
    _value(group, "--max-pixels", "N", "largest frame that is read, width times height (default: 134 million)")


def _add_executor_options(group: argparse._ArgumentGroup) -> None:
    # Workers and where they run
    _choice(group, "--executor", ExecutorName, "threads of this process or Ray actors (default: auto)")
    _value(group, "--workers", "N", "Ray workers, or encode threads inline (default: from cores or GPUs)")
    _value(group, "--address", "ADDRESS", "Ray cluster to use (default: one of our own)")
    _value(group, "--gpus-per-worker", "X", "share of a GPU a worker reserves (default: 1 on CUDA)")
    _value(group, "--feature-budget", "SIZE", "memory for features ahead of tracking, a worker (default: what is free)")
    _value(
        group,
        "--call-timeout",
        "SECONDS",
        "a call that takes longer means that its worker, or a plugin, hangs; inf for no limit (default: 600)",
    )
    _value(group, "--connect-timeout", "SECONDS", "how long a Ray cluster may take to answer (default: 30)")
    _choice(group, "--decode", PlaceName, "where video files are decoded, with Ray (default: driver)")

    # What results depend on, in their low bits
    _value(group, "--threads-per-worker", "N", "math threads; changes low bits of the results (default: 1)")
    _value(group, "--encode-batch", "N", "frames encoded at once; only 1 so far (default: 1)")
    _choice(group, "--device", DeviceName, "where the model runs (default: auto, which is cuda, else mps, else cpu)")
    _choice(group, "--dtype", DtypeName, "numbers of the model (default: auto, by the device)")


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    names = ",".join(OUTPUT_NAMES)
    _value(group, "--outputs", "A,B", f"what is written, by name (default: {names}; more: see `plugins list`)")
    _choice(group, "--matte-codec", MatteCodecName, "codec of the mattes (default: h264)")
    text = "names in masks/ of a video or stream: from 0 as they come, or the source's numbers (default: output)"
    _choice(group, "--number-frames-by", NumberingName, text)
    _flag(group, "--overwrite", "remove what an earlier run left in DIR")
    _flag(group, "--no-resume", "never take an earlier complete run as done")


# One function per shape of flag: one of a few words, a value, repeatable values, a switch. Values are converted and
# checked by the configuration, so that flags and files have the same messages.


def _choice(group: argparse._ArgumentGroup, flag: str, choices: Any, text: str) -> None:
    group.add_argument(flag, choices=get_args(choices), default=_SUPPRESS, help=text)


def _value(group: argparse._ArgumentGroup, flag: str, metavar: str, text: str) -> None:
    group.add_argument(flag, metavar=metavar, default=_SUPPRESS, help=text)


def _several(group: argparse._ArgumentGroup, flag: str, dest: str, metavar: str, text: str) -> None:
    group.add_argument(flag, dest=dest, action="append", metavar=metavar, default=_SUPPRESS, help=text)


def _flag(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    group.add_argument(flag, action="store_true", default=_SUPPRESS, help=text)


def _split(names: str) -> list[str]:
    """The names in `a,b`, at least one; whether there are such sinks is checked once plugins are loaded."""
    found = names_in(names) or []
    if not found:
        raise ConfigError(f"option outputs: got nothing; expected names such as {','.join(OUTPUT_NAMES)}")
    return found
