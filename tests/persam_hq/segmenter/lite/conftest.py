"""A tiny lite, and a scene that it has begun to track."""

import pytest
from stand_ins.lite import tiny_lite

from persam_hq.segmenter import LiteSegmenter


@pytest.fixture(scope="module")
def segmenter():
    return LiteSegmenter(tiny_lite())


@pytest.fixture(scope="module")
def begun(segmenter, scene):
    """Features of a later frame, and the reference and the memory that the first one left."""
    first = segmenter.encode(scene.frames[0])
    reference, memory = segmenter.personalize(first, scene.masks), segmenter.begin(first, scene.masks)
    return segmenter.encode(scene.frames[1]), reference, memory
