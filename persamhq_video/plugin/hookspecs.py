"""The hooks that a plugin may implement: they register factories by name, among which the configuration chooses.

No hook is called while frames are tracked: the frame loop calls the chosen strategies directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from persamhq_video.plugin.markers import hookspec
from persamhq_video.plugin.registry import Register
from persamhq_video.protocols.frame_source import FrameSourceKind
from persamhq_video.protocols.result_sink import AnySink
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector


@hookspec
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register prompt selectors.

    Called once in every process of a run, after all plugins are loaded, before the configuration is checked against
    them; also for `plugins list` and `plugins show`. `register.add(name, factory)` registers one: the factory (a class,
    mostly) is called with the options of the run as keyword arguments, once per process, where the configuration
    chooses that name. Returns nothing. A name that is taken is an error.
    """


@hookspec
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register mask refiners.

    Called when `persamhq_register_prompt_selectors` is, in the same way. A configuration may choose several refiners,
    and one of them more than once; they run in its order.
    """


@hookspec
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Register kinds of frame sources with `register.add(name, factory)`; called once in every process of a run."""


@hookspec
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register result sinks with `register.add(name, factory)`; `--outputs` chooses among them by name."""


@hookspec
def persamhq_run_finished(directory: Path, record: Mapping[str, Any]) -> None:
    """Observe the end of a run.

    Called once per video, on the driver, when its folder is final: after the last file is written where the status is
    "complete", and after the committed frames are saved where it is "failed" or "interrupted". `directory` is the
    video's folder, `record` the content of its run.json. Returns nothing. After an error in it the exit code is 3; the
    files stay, and a run that is complete remains so.
    """
