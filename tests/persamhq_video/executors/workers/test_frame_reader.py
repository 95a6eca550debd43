import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.frame_reader import FrameReaders, FrameReference
from persamhq_video.io import open_source


@pytest.fixture
def source(clip):
    return open_source(clip)


def test_frames_in_order_back_again_and_after_a_gap(source):
    frames = list(source.frames())
    readers = FrameReaders()
    for index in (0, 1, 5, 2, 11):
        reference = pickle.loads(pickle.dumps(FrameReference.of(source, frames[index])))
        found = readers.read(0, reference)
        assert found.index == index
        np.testing.assert_array_equal(found.image, frames[index].image)


def test_a_file_that_is_not_there(clip, source):
    reference = FrameReference.of(source, next(source.frames()))
    shutil.rmtree(clip)
    with pytest.raises(ExecutorError, match=r"frame 0: a worker cannot read it .*use --decode driver"):
        FrameReaders().read(0, reference)


def test_a_file_that_is_another_one(clip, source):
    reference = FrameReference.of(source, next(source.frames()))
    Image.new("RGB", (64, 36)).save(clip / "f000.png")
    with pytest.raises(ExecutorError, match=r"frame 0: the file on a worker's machine.*use --decode driver"):
        FrameReaders().read(0, reference)


def test_a_closed_video_is_read_from_its_beginning(source):
    frames = list(source.frames())
    readers = FrameReaders()
    readers.read(0, FrameReference.of(source, frames[3]))
    readers.close(0)
    assert readers.read(0, FrameReference.of(source, frames[1])).index == 1
