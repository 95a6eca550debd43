"""Files in and out: readers of videos, writers of results, label maps; the only package that imports av and decord."""

from persam_hq.io.atomic import atomic_write, sha256_of
from persam_hq.io.images import davis_palette
from persamhq_video.io.discovery import VIDEO_SUFFIXES, FirstFrame, FoundMask, FoundVideo, find_mask_for, find_videos
from persamhq_video.io.label_maps import (
    LabelMap,
    label_map_of,
    label_png,
    read_first_masks,
    read_label_png,
    write_label_png,
)
from persamhq_video.io.readers.open import (
    FrameSource,
    FrameWindow,
    ReaderName,
    open_folder,
    open_source,
    open_video_file,
)
from persamhq_video.io.readers.stream import StreamSource
from persamhq_video.io.readers.stream_url import input_stem, redact_password
from persamhq_video.io.writers.alpha import CutOut
from persamhq_video.io.writers.mask_video import LabelVideo
from persamhq_video.io.writers.mattes import MATTE_SUFFIXES, Matte, MatteCodec
from persamhq_video.io.writers.overlay import H264, Overlay, RGBVideo, h264_picture, paint
from persamhq_video.io.writers.rle import RLE_NAME, rle_of, write_rle
from persamhq_video.io.writers.scores import ScoresWriter, read_score_rows, score_rows, table_rows
from persamhq_video.io.writers.segmented_video import SEGMENT_FRAMES, SegmentedVideo
from persamhq_video.io.writers.timestamps import MonotonicTimestamps
from persamhq_video.io.writers.video_encoder import ResultVideoKind, VideoKind

__all__ = [
    "H264",
    "MATTE_SUFFIXES",
    "RLE_NAME",
    "SEGMENT_FRAMES",
    "VIDEO_SUFFIXES",
    "CutOut",
    "FirstFrame",
    "FoundMask",
    "FoundVideo",
    "FrameSource",
    "FrameWindow",
    "LabelMap",
    "LabelVideo",
    "Matte",
    "MatteCodec",
    "MonotonicTimestamps",
    "Overlay",
    "RGBVideo",
    "ReaderName",
    "ResultVideoKind",
    "ScoresWriter",
    "SegmentedVideo",
    "StreamSource",
    "VideoKind",
    "atomic_write",
    "davis_palette",
    "find_mask_for",
    "find_videos",
    "h264_picture",
    "input_stem",
    "label_map_of",
    "label_png",
    "open_folder",
    "open_source",
    "open_video_file",
    "paint",
    "read_first_masks",
    "read_label_png",
    "read_score_rows",
    "redact_password",
    "rle_of",
    "score_rows",
    "sha256_of",
    "table_rows",
    "write_label_png",
    "write_rle",
]
