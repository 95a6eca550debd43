"""Files in and out: readers, writers and masks; the only room that imports av and decord."""

from persamhq_video.io.alpha import CutOut
from persamhq_video.io.encoder import VideoKind
from persamhq_video.io.files import atomic_write, sha256_of
from persamhq_video.io.label_video import LabelVideo
from persamhq_video.io.mask_search import find_mask_for
from persamhq_video.io.masks import LabelMap, label_png, read_first_masks, read_label_png, write_label_png
from persamhq_video.io.matte import MATTE_SUFFIXES, Matte, MatteCodec
from persamhq_video.io.overlay import H264, Overlay, RGBVideo, h264_picture, paint
from persamhq_video.io.palette import davis_palette
from persamhq_video.io.rle import RLE_NAME, rle_of, write_rle
from persamhq_video.io.scores import ScoresWriter, read_score_rows, score_rows
from persamhq_video.io.segments import SEGMENT_FRAMES, SegmentedVideo
from persamhq_video.io.source import FrameSource, FrameWindow, ReaderName, open_folder, open_source, open_video_file
from persamhq_video.io.stream import StreamSource
from persamhq_video.io.stream_names import input_stem, without_password
from persamhq_video.io.times import RisingTimes
from persamhq_video.io.video_search import VIDEO_SUFFIXES, FoundVideo, find_videos

__all__ = [
    "H264",
    "MATTE_SUFFIXES",
    "RLE_NAME",
    "SEGMENT_FRAMES",
    "VIDEO_SUFFIXES",
    "CutOut",
    "FoundVideo",
    "FrameSource",
    "FrameWindow",
    "LabelMap",
    "LabelVideo",
    "Matte",
    "MatteCodec",
    "Overlay",
    "RGBVideo",
    "ReaderName",
    "RisingTimes",
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
    "label_png",
    "open_folder",
    "open_source",
    "open_video_file",
    "paint",
    "read_first_masks",
    "read_label_png",
    "read_score_rows",
    "rle_of",
    "score_rows",
    "sha256_of",
    "without_password",
    "write_label_png",
    "write_rle",
]
