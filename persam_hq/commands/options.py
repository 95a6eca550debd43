"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.errors import InputError

if TYPE_CHECKING:
    from persam_hq.predictor import ImageModel

MODELS = ("lite", "vit_tiny", "vit_b", "vit_l", "vit_h")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --checkpoint and --device."""
    parser.add_argument("--model", choices=MODELS, default="lite", help="default: lite, whose weights are built in")
    parser.add_argument("--checkpoint", type=Path, metavar="PATH", help="weights; all models but lite need them")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="where it runs (default: cpu)")


def model_of(options: argparse.Namespace) -> ImageModel:
    """The model that the options name."""
    import torch

    from persam_hq.pretrained import load_model

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[options.device]:
        raise InputError(f"--device {options.device} is not there; use --device cpu")
    return load_model(options.model, checkpoint=options.checkpoint, device=options.device)


def output_folder(folder: Path, images: Sequence[Path]) -> Path:
    """The folder, made if need be; refused where two images would be written under one name."""
    stems = [image.stem for image in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"two images are called {twice[0]}, and masks are named after images; run them one by one")
    missing = [image for image in images if not image.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such image; give the path of a JPEG or PNG file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(f"cannot make the folder {folder}: {exc.strerror}; choose another --out") from exc
    return folder
