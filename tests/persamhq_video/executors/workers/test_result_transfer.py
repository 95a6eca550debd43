import pickle

import numpy as np
import pytest

from persamhq_video.executors.workers.result_transfer import PackedResult
from persamhq_video.types import FrameResult

ONE = np.ones((1, 1), np.uint8)
NOISE = np.random.default_rng(3).integers(0, 255, (20, 30), dtype=np.uint8)
SQUARE = np.zeros((400, 600), np.uint8)
SQUARE[100:300, 50:500] = 255
STRIPES = np.tile(np.array([0, 7], np.uint8), (40, 30))


@pytest.mark.parametrize("labels", [ONE, NOISE, SQUARE, STRIPES, SQUARE.T, np.zeros((5, 9), np.uint8)])
def test_a_label_map_comes_out_as_it_was(labels):
    result = FrameResult(3, 30, 1, "00003", labels, ())
    opened = pickle.loads(pickle.dumps(PackedResult.of(result))).unpack()
    np.testing.assert_array_equal(opened.labels, labels)
    assert opened.labels.dtype == np.uint8
    assert (opened.index, opened.pts, opened.name) == (3, 30, "00003")


def test_masks_become_small_and_noise_does_not_grow():
    def size(labels):
        return len(pickle.dumps(PackedResult.of(FrameResult(0, 0, 1, "00000", labels, ()))))

    assert size(SQUARE) < SQUARE.size / 20
    assert size(NOISE) < 2 * NOISE.size
