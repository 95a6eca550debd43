import numpy as np
import pytest
import torch

from persam_hq import personalization
from persam_hq.mask_boxes import (
    inclusive_box,
    inclusive_box_of_array,
    inclusive_boxes,
    outer_box,
    outer_box_of_array,
    outer_boxes,
)


def sparse_mask(seed):
    mask = np.random.default_rng(seed).random((12, 17)) < 0.02
    mask[4, 9] = True
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_the_box_is_the_first_and_last_foreground_row_and_column(seed):
    mask = sparse_mask(seed)
    y, x = np.nonzero(mask)
    expected = [x.min(), y.min(), x.max(), y.max()]
    assert inclusive_box(torch.from_numpy(mask)).tolist() == expected
    assert list(inclusive_box_of_array(mask)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_outer_edges_lie_one_pixel_beyond(seed):
    mask = sparse_mask(seed)
    y, x = np.nonzero(mask)
    expected = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert outer_box(torch.from_numpy(mask)).tolist() == expected
    assert list(outer_box_of_array(mask.astype(np.uint8))) == expected


def test_the_box_of_one_pixel_and_of_none():
    mask = torch.zeros(5, 5, dtype=torch.bool)
    for function in (inclusive_box, outer_box):
        assert function(mask) is None
    for function in (inclusive_box_of_array, outer_box_of_array):
        assert function(mask.numpy()) is None
    mask[3, 1] = True
    assert inclusive_box(mask).tolist() == [1, 3, 1, 3]
    assert outer_box(mask).tolist() == [1, 3, 2, 4]
    assert inclusive_box_of_array(mask.numpy()) == (1, 3, 1, 3)
    assert outer_box_of_array(mask.numpy()) == (1, 3, 2, 4)


def test_boxes_name_the_first_and_the_last_row_and_column():
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 9, 12), bool)
    for mask in masks[:4]:
        mask[rng.integers(0, 9, 3), rng.integers(0, 12, 3)] = True
    masks[4, 8, 11] = True
    boxes, empty = inclusive_boxes(torch.from_numpy(masks))
    for box, mask in zip(boxes[:5].tolist(), masks[:5], strict=True):
        ys, xs = np.nonzero(mask)
        assert box == [xs.min(), ys.min(), xs.max(), ys.max()]
    assert empty.tolist() == [False] * 5 + [True]
    assert boxes[4:].tolist() == [[11, 8, 11, 8], [0, 0, 11, 8]]


def test_boxes_are_outer_edges_and_an_empty_mask_gives_the_whole_grid():
    masks = torch.zeros(4, 6, 9)
    masks[0, 2:4, 3:7] = 1
    masks[1, 5, 8] = 0.6
    masks[2] = 0.5
    masks[3] = 1
    assert outer_boxes(masks).tolist() == [[3, 2, 7, 4], [8, 5, 9, 6], [0, 0, 9, 6], [0, 0, 9, 6]]


def test_plugins_find_it_among_the_personalization_functions():
    assert personalization.mask_box is inclusive_box
