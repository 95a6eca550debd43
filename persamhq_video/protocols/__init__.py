"""Protocols: the structural types of strategies, frame sources and result sinks, which plugins implement.

Plugins import them from here. `Tracker` is the one that the executors drive; it is no plugin.
"""

from persamhq_video.protocols.frame_source import FrameRequest, FrameSource, FrameSourceKind, FrameWindow
from persamhq_video.protocols.result_sink import AnySink, LabelMapSink, ResultSink, SinkFrame, SinkVideo, VideoSink
from persamhq_video.protocols.strategy import (
    Box,
    Decode,
    FirstFrame,
    Fits,
    FrameInfo,
    MaskRefiner,
    ObjectView,
    PromptSelector,
    Remembers,
    Seen,
    Slot,
)
from persamhq_video.protocols.tracker import Beginning, Tracker

__all__ = [
    "AnySink",
    "Beginning",
    "Box",
    "Decode",
    "FirstFrame",
    "Fits",
    "FrameInfo",
    "FrameRequest",
    "FrameSource",
    "FrameSourceKind",
    "FrameWindow",
    "LabelMapSink",
    "MaskRefiner",
    "ObjectView",
    "PromptSelector",
    "Remembers",
    "ResultSink",
    "Seen",
    "SinkFrame",
    "SinkVideo",
    "Slot",
    "Tracker",
    "VideoSink",
]
