"""Weights files: read, recognise what they hold, and load them into a model of exactly that layout."""

from persam_hq.checkpoint.checkpoint import Checkpoint, read_checkpoint, read_tensors
from persam_hq.checkpoint.layouts import HQ_PREFIXES, Layout
from persam_hq.checkpoint.save import write_safetensors

__all__ = ["HQ_PREFIXES", "Checkpoint", "Layout", "read_checkpoint", "read_tensors", "write_safetensors"]
