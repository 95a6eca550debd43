"""Checkpoints: weights files read, recognised by their keys, renamed to the published names and loaded into a model.

In that order: `files`, `unwrap`, `layouts` and `huggingface`, `position_embeddings`, `assign`; `checkpoint` holds the
whole. Nothing in a file is executed.
"""

from persam_hq.checkpoint.checkpoint import Checkpoint, read_checkpoint, read_tensors
from persam_hq.checkpoint.layouts import HQ_PREFIXES, Layout
from persam_hq.checkpoint.save import write_safetensors

__all__ = ["HQ_PREFIXES", "Checkpoint", "Layout", "read_checkpoint", "read_tensors", "write_safetensors"]
