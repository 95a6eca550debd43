"""The hooks that a plugin may implement. They register factories by name; the configuration selects among them.

No hook is called while frames are tracked: the frame loop calls the chosen strategies directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from persamhq_video.frame_source import FrameSourceKind
from persamhq_video.plugin.markers import hookspec
from persamhq_video.plugin.register import Register
from persamhq_video.protocols import MaskRefiner, PromptSelector
from persamhq_video.result_sink import AnySink


@hookspec
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Add prompt selectors with `register.add(name, factory)`; called once in every process of a run."""


@hookspec
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Add mask refiners with `register.add(name, factory)`; called once in every process of a run."""


@hookspec
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Add kinds of frame sources with `register.add(name, factory)`; called once in every process of a run."""


@hookspec
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Add result sinks with `register.add(name, factory)`; `--outputs` chooses among them by name."""


@hookspec
def persamhq_run_finished(directory: Path, record: Mapping[str, Any]) -> None:
    """Look at what a run left: its folder and the content of its run.json, whatever the status; driver only."""
