"""Reading of weights files: mapped into memory where the format allows it, and never executed."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from persam_hq.errors import CheckpointError, MissingCheckpointError, one_line
from persam_hq.io.zip_files import has_zip_directory

HUB_NAME = "model.safetensors"
"""Hugging Face's name for the weights in a model's folder."""
_LONGEST = 200  # characters of a foreign error that are passed on


def read_file(path: Path) -> object:
    """The content of a .pth, .pt or .safetensors file, or of the one in a folder of Hugging Face.

    The bytes decide on the format, not the suffix. Tensors are mapped, privately, wherever the format allows it: their
    pages come into memory when they are used, and writing to a tensor changes no file. Raises CheckpointError.
    """
    # save_pretrained writes a folder
    if path.is_dir():
        path = _file_in(path)
    # safetensors begins with the length of its header, 8 bytes, and the header, which is JSON
    head, size = _begin(path)
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size
    if is_safetensors or path.suffix == ".safetensors":
        return _read_safetensors(path)
    # torch's zip format begins as every zip file, whose directory lies at the end: without that it is cut short
    return _read_torch(path, is_cut=head.startswith(b"PK") and not has_zip_directory(path))


def _file_in(folder: Path) -> Path:
    if (folder / HUB_NAME).is_file():
        return folder / HUB_NAME
    raise CheckpointError(f"cannot read {folder}: it is a folder without {HUB_NAME}; name the weights file itself")


def _begin(path: Path) -> tuple[bytes, int]:
    """The first bytes and the size; CheckpointError where they show that something else was saved as weights."""
    # What tools leave in place of a file: nothing, a pointer of Git LFS, a web page that says why not
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as exc:
        raise MissingCheckpointError(f"cannot read {path}: {exc.strerror}; give the path of a weights file") from exc
    except OSError as exc:
        raise CheckpointError(f"cannot read {path}: {exc.strerror}; give the path of a weights file") from exc
    if not head:
        raise CheckpointError(f"cannot read {path}: it is empty; download or copy it again")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"cannot read {path}: it is a Git LFS pointer, not the weights; fetch those with git lfs")
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        raise CheckpointError(f"cannot read {path}: it is a web page, not weights; download the file itself")
    return head, path.stat().st_size


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except Exception as exc:  # beside its own errors those of kinds of numbers that this torch does not know
        raise CheckpointError(
            f"cannot read {path} as safetensors: {_reason(exc)}; is it cut short? download or copy it again"
        ) from exc


def _read_torch(path: Path, *, is_cut: bool) -> object:
    if is_cut:
        raise CheckpointError(f"cannot read {path}: it is a torch file cut short; download or copy it again")
    _refuse_compressed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an error that follows says it in one line
            # Only the zip format of torch 1.6 and later can be mapped
            loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=has_zip_directory(path))
    except Exception as exc:  # torch.load raises a dozen kinds, by what is wrong with the file
        raise CheckpointError(f"cannot read {path} as a torch weights file: {_reason(exc)}") from exc
    return loaded


def _refuse_compressed(path: Path) -> None:
    """Raise CheckpointError for a zip file that unpacks to more than it is: torch stores its parts as they are."""
    if not has_zip_directory(path):
        return
    try:
        with zipfile.ZipFile(path) as file:
            is_compressed = any(part.compress_type != zipfile.ZIP_STORED for part in file.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as exc:
        raise CheckpointError(f"cannot read {path} as a torch weights file: {one_line(exc)}") from exc
    if is_compressed:
        raise CheckpointError(f"cannot read {path}: it is a compressed zip file; unpack it, or save it with torch.save")


def _reason(exc: Exception) -> str:
    """One line of an error that may be a page long."""
    # torch's unpickler wraps the reason in paragraphs of advice on switching its check off
    text = str(exc)
    foreign = re.search(r"GLOBAL (\S+)", text)
    if foreign is not None:
        return f"it holds {foreign[1]}, which is code, and only tensors are read; save the model's state dict alone"
    if "TorchScript" in text:
        return "it is a program of TorchScript, and only tensors are read; save the model's state dict alone"
    inner = re.search(r"WeightsUnpickler error:\s*(.*)", text)
    first = inner[1] if inner is not None else next(iter(text.splitlines()), type(exc).__name__)
    return one_line(first)[:_LONGEST].rstrip(". ")
