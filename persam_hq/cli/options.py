"""Options that several commands share: model, checkpoint, device, HQ parts and images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.errors import InputError

if TYPE_CHECKING:
    from persam_hq.predictor import ImageModel

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""Files of a folder that count as images."""
ONE_EACH = "several objects go into one file of --prompts, other images or settings into commands of their own"
MODELS = ("lite", "vit_tiny", "vit_b", "vit_l", "vit_h")


class Once(argparse.Action):
    """Stores the value of an option that says what to do and so may come once: the last one would win otherwise."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Keep the value; a second one ends the command."""
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} is given twice; {ONE_EACH}")
        setattr(namespace, self.dest, values)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, --checkpoint and --device."""
    parser.add_argument("--model", choices=MODELS, default="lite", help="default: lite, whose weights are built in")
    parser.add_argument("--checkpoint", type=Path, metavar="PATH", help="weights; all models but lite need them")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where the model runs (default: auto, which is cuda, else mps, else cpu)",
    )


def model_of(options: argparse.Namespace) -> ImageModel:
    """Load the model that the options name; InputError where its device is missing."""
    import torch

    from persam_hq.build.pretrained import load_model

    # In the order in which `auto` chooses, as `persamhq-video` does
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = options.device
    if device == "auto":
        device = next(name for name, is_there in available.items() if is_there)
    if not available[device]:
        raise InputError(f"--device {device} is not there; use --device cpu")
    return load_model(options.model, checkpoint=options.checkpoint, device=device)


def add_hq_option(parser: argparse.ArgumentParser) -> None:
    """Add --hq."""
    parser.add_argument(
        "--hq",
        choices=("auto", "on", "off"),
        default="auto",
        help="HQ-SAM's correction of the masks: where the weights have it (default), or refused without, or never",
    )


def use_hq(options: argparse.Namespace, model: ImageModel) -> bool:
    """Whether to use the model's HQ parts; InputError where they are asked for and missing."""
    from persam_hq.modeling.sam import Sam

    has_hq = model.has_hq if isinstance(model, Sam) else model.mask_decoder.has_hq
    if options.hq == "on" and not has_hq:
        what = options.checkpoint or options.model
        raise InputError(f"--hq on: {what} has no HQ parts; give an HQ-SAM --checkpoint, or leave --hq away")
    return has_hq and options.hq != "off"


def images_of(paths: Sequence[Path]) -> list[Path]:
    """The images given as files or in folders, these in order of name; refused where two have the same stem."""
    # Folders to their images
    found: list[Path] = []
    for path in paths:
        within = [path]
        if path.is_dir():
            within = _images_in(path)
        if not within:
            raise InputError(f"the folder {path} holds no image; expected JPEG or PNG files in it")
        found += within

    # Results are named after the images
    stems = [image.stem for image in found]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"two images are called {twice[0]}, and masks are named after images; run them one by one")

    missing = [image for image in found if not image.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such image; give the path of a JPEG or PNG file, or of a folder of these")
    return found


def _images_in(folder: Path) -> list[Path]:
    """The images in a folder in order of name; InputError where it cannot be listed."""
    try:
        inside = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as exc:
        raise InputError(f"cannot list the folder {folder}: {exc.strerror}; see to its permissions") from exc
    return sorted(file for file in inside if file.suffix.lower() in IMAGE_SUFFIXES)
