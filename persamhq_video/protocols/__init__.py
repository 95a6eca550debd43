"""Structural types, no behaviour: what a strategy, a tracker, a frame source and a result sink are."""

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
