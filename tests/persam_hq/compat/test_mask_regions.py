import numpy as np
import pytest
import torch

from persam_hq.compat.mask_regions import (
    crop_boxes,
    mask_boxes,
    near_crop_edge,
    non_maximum_suppression,
    point_grid,
    remove_small_regions,
    uncropped,
)


def test_the_grid_of_points():
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert point_grid(1).tolist() == [[0.5, 0.5]]


def test_crops_by_hand():
    # Two crops a side, overlapping by 0.25 of the shorter side, which is 40: 10 pixels
    boxes = crop_boxes((40, 60), layers=1, overlap_ratio=0.25)
    assert boxes == [
        ((0, 0, 60, 40), 0),
        ((0, 0, 35, 25), 1),
        ((0, 15, 35, 40), 1),
        ((25, 0, 60, 25), 1),
        ((25, 15, 60, 40), 1),
    ]


@pytest.mark.parametrize("size", [(33, 47), (100, 30), (64, 64)])
def test_crops_cover_the_image(size):
    height, width = size
    boxes = crop_boxes(size, layers=2, overlap_ratio=512 / 1500)
    assert [layer for _, layer in boxes] == [0] + [1] * 4 + [2] * 16
    for wanted in (1, 2):
        seen = np.zeros(size, bool)
        for (x0, y0, x1, y1), layer in boxes:
            if layer == wanted:
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height
                seen[y0:y1, x0:x1] = True
        assert seen.all()


@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_first_and_last_rows_and_columns(seed):
    masks = np.random.default_rng(seed).random((5, 9, 13)) < 0.05
    masks[0] = False
    for mask, box in zip(masks, mask_boxes(torch.from_numpy(masks)).tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max(), y.max()] if len(x) else [0, 0, 0, 0])


def test_boxes_that_the_crop_cuts_off():
    # The crop's right edge lies within the image, its left edge is the image's own
    crop, size = (0, 0, 100, 200), (200, 300)
    boxes = torch.tensor([[40, 60, 60, 100], [40, 60, 80, 100], [40, 60, 79, 100], [0, 60, 60, 100]])
    assert near_crop_edge(boxes, crop, size).tolist() == [False, True, False, False]
    assert not near_crop_edge(boxes, (0, 0, 300, 200), size).any()
    # In pixels of a crop that begins elsewhere
    assert near_crop_edge(torch.tensor([[10, 60, 60, 100]]), (100, 0, 200, 200), size).tolist() == [True]


def test_masks_of_a_crop_in_the_image():
    placed = uncropped(torch.ones(2, 2, 3, dtype=torch.bool), (1, 2, 4, 4), (5, 6))
    assert placed.shape == (2, 5, 6)
    assert placed.dtype == torch.bool
    assert placed[1].nonzero().tolist() == [[y, x] for y in (2, 3) for x in (1, 2, 3)]


def iou(first, second):
    width = max(0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - width * height
    return width * height / union if union else 0.0


def kept_by_hand(boxes, scores, threshold):
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):  # sorted() keeps the order of equals
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_suppression_against_one_box_at_a_time(seed, threshold):
    generator = np.random.default_rng(seed)
    corners = generator.integers(0, 30, (40, 2))
    boxes = np.concatenate([corners, corners + generator.integers(0, 25, (40, 2))], axis=1)
    scores = generator.integers(0, 5, 40) / 4  # with many equal ones
    got = non_maximum_suppression(torch.from_numpy(boxes), torch.from_numpy(scores), threshold=threshold)
    assert got.tolist() == kept_by_hand(boxes.tolist(), scores.tolist(), threshold)


def test_suppression_of_none_and_of_boxes_without_area():
    assert len(non_maximum_suppression(torch.zeros(0, 4), torch.zeros(0), threshold=0.5)) == 0
    points = torch.tensor([[3, 3, 3, 3], [3, 3, 3, 3]])
    assert non_maximum_suppression(points, torch.tensor([0.1, 0.2]), threshold=0.5).tolist() == [1, 0]


def drawing(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


SQUARE = drawing("######..", "#....#..", "#.#..#.#", "#....#..", "######..")


def test_small_holes_are_filled():
    got, changed = remove_small_regions(drawing("###.", "#.#.", "###.", "...."), 2, kind="holes")
    assert changed
    assert np.array_equal(got, drawing("###.", "###.", "###.", "...."))
    same, changed = remove_small_regions(drawing("###.", "#.#.", "###.", "...."), 1, kind="holes")
    assert not changed
    assert same.sum() == 8


def test_small_islands_are_removed():
    got, changed = remove_small_regions(SQUARE, 2, kind="islands")
    assert changed
    assert np.array_equal(got, drawing("######..", "#....#..", "#....#..", "#....#..", "######.."))


def test_the_largest_island_stays_though_it_is_small():
    got, changed = remove_small_regions(drawing("##..#", "#....", "....#"), 50, kind="islands")
    assert changed
    assert np.array_equal(got, drawing("##...", "#....", "....."))


def test_corners_hold_regions_together():
    mask = drawing("#...", ".#..", "..#.")
    assert not remove_small_regions(mask, 3, kind="islands")[1]
