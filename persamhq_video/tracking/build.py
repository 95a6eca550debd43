"""The tracker of a resolved configuration, and the weights file that it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import torch

from persam_hq.build.lite import embedded_weights
from persam_hq.errors import CheckpointError
from persam_hq.hub import cached_path
from persam_hq.segmenter import build_segmenter
from persamhq_video.config import RunConfig
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector
from persamhq_video.tracking.presence import Presence
from persamhq_video.tracking.state import STATE_TYPES
from persamhq_video.tracking.strategy import Strategy
from persamhq_video.tracking.strategy_runner import StrategyRunner
from persamhq_video.tracking.tracker import VideoTracker

__all__ = ["VIDEO_TRACKERS", "VideoTrackerBuilder"]


@dataclass(frozen=True, slots=True)
class VideoTrackerBuilder:
    """Builds a `VideoTracker` per worker; see `persamhq_video.job.tracker_builder.TrackerBuilder`."""

    state_types: ClassVar[tuple[type, ...]] = STATE_TYPES

    def build(
        self, config: RunConfig, selector: Strategy[PromptSelector], refiners: Sequence[Strategy[MaskRefiner]]
    ) -> VideoTracker:
        """The tracker of a resolved configuration; raises PersamHQError where model and weights do not fit."""
        segmenter = build_segmenter(
            config.model,
            checkpoint=config.checkpoint,
            device="cpu" if config.device == "auto" else config.device,
            dtype=torch.float32 if config.dtype == "auto" else getattr(torch, config.dtype),
            published=config.published,
            without=config.without,
            use_hq=config.uses_hq,
            keep_interm=config.keep_interm,
            detail=config.detail,
        )
        chained = config.mode != "independent"
        return VideoTracker(
            segmenter,
            strategies=StrategyRunner(selector, refiners),
            chained=chained,
            # PerSAM's published video script guides nothing and starts from the largest of three masks
            guided=not config.no_guidance and not (config.published and chained),
            first_choice="largest" if config.published and chained else "single",
            presence=Presence(absent_below=0.0) if "presence" in config.without else None,
        )

    def weights_path(self, config: RunConfig) -> Path:
        """The weights file that a configuration means; CheckpointError where none is named and none is embedded."""
        if config.checkpoint is not None:
            path = cached_path(config.checkpoint)
            if not path.is_file():
                raise CheckpointError(
                    f"no checkpoint at {path}; --checkpoint takes a .safetensors or .pth file, or a name of"
                    " `persam-hq checkpoints list` that was downloaded"
                )
            return path
        if config.model == "lite":
            return embedded_weights()
        raise CheckpointError(
            f"the model {config.model} comes without weights; pass --checkpoint with published {config.model} weights"
        )


VIDEO_TRACKERS: Final = VideoTrackerBuilder()
"""The builder of every run that is not handed another."""
