"""Files in and out: readers, writers and masks; the only room that imports av and decord."""

from persamhq_video.io.files import atomic_write, sha256_of
from persamhq_video.io.label_video import LabelVideoWriter
from persamhq_video.io.mask_search import find_mask_for
from persamhq_video.io.masks import LabelMap, read_first_masks, read_label_png, write_label_png
from persamhq_video.io.matte import MATTE_SUFFIXES, MatteCodec, MatteWriter
from persamhq_video.io.overlay import OverlayWriter, paint
from persamhq_video.io.palette import davis_palette
from persamhq_video.io.scores import ScoresWriter
from persamhq_video.io.source import FrameSource, FrameWindow, ReaderName, open_source
from persamhq_video.io.video_search import VIDEO_SUFFIXES, FoundVideo, find_videos

__all__ = [
    "MATTE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FoundVideo",
    "FrameSource",
    "FrameWindow",
    "LabelMap",
    "LabelVideoWriter",
    "MatteCodec",
    "MatteWriter",
    "OverlayWriter",
    "ReaderName",
    "ScoresWriter",
    "atomic_write",
    "davis_palette",
    "find_mask_for",
    "find_videos",
    "open_source",
    "paint",
    "read_first_masks",
    "read_label_png",
    "sha256_of",
    "write_label_png",
]
