import numpy as np
import pytest
import torch

from persam_hq.compat.amg import (
    MaskData,
    batch_iterator,
    batched_mask_to_box,
    box_xyxy_to_xywh,
    build_all_layer_point_grids,
    build_point_grid,
    calculate_stability_score,
    generate_crop_boxes,
    is_box_near_crop_edge,
    mask_to_rle_pytorch,
    remove_small_regions,
    rle_to_mask,
    uncrop_boxes_xyxy,
    uncrop_masks,
    uncrop_points,
)
from persam_hq.compat.segment_anything import SamAutomaticMaskGenerator


def table():
    return MaskData(rows=[10, 11, 12], array=np.array([[1, 2], [3, 4], [5, 6]]), tensor=torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("keep", [torch.tensor([True, False, True]), torch.tensor([0, 2])])
def test_a_table_keeps_rows(keep):
    data = table()
    data.filter(keep)
    assert data["rows"] == [10, 12]
    assert data["array"].tolist() == [[1, 2], [5, 6]]
    assert torch.equal(data["tensor"], torch.tensor([0.1, 0.3]))


def test_a_table_grows_and_becomes_arrays():
    data, empty = table(), MaskData()
    data.cat(table())
    empty.cat(table())
    assert len(data["rows"]) == len(data["array"]) == len(data["tensor"]) == 6
    assert [name for name, _ in empty.items()] == ["rows", "array", "tensor"]
    del data["rows"]
    data.to_numpy()
    assert [type(column) for _, column in data.items()] == [np.ndarray, np.ndarray]
    with pytest.raises(AssertionError, match="a list, an array or a tensor, got int"):
        data["n"] = 3


def test_boxes_points_and_masks_of_crops():
    assert box_xyxy_to_xywh(torch.tensor([[1, 2, 5, 9]])).tolist() == [[1, 2, 4, 7]]
    assert uncrop_boxes_xyxy(torch.tensor([[1, 2, 5, 9]]), [10, 20, 30, 40]).tolist() == [[11, 22, 15, 29]]
    assert uncrop_points(torch.tensor([[[1, 2]]]), [10, 20, 30, 40]).tolist() == [[[11, 22]]]
    assert uncrop_masks(torch.ones(1, 2, 3, dtype=torch.bool), [1, 2, 4, 4], 6, 7).sum() == 6
    boxes = torch.tensor([[0, 0, 10, 10], [30, 30, 79, 60]])
    assert is_box_near_crop_edge(boxes, [0, 0, 100, 100], [0, 0, 200, 200]).tolist() == [False, False]
    assert is_box_near_crop_edge(boxes, [0, 0, 100, 100], [0, 0, 200, 200], atol=21).tolist() == [False, True]


def test_grids_and_crops():
    assert build_point_grid(1).tolist() == [[0.5, 0.5]]
    assert [len(grid) for grid in build_all_layer_point_grids(8, 2, 2)] == [64, 16, 4]
    boxes, layers = generate_crop_boxes((40, 60), 1, 0.25)
    assert boxes[0] == [0, 0, 60, 40]
    assert layers == [0, 1, 1, 1, 1]


def test_batches():
    parts = list(batch_iterator(2, [1, 2, 3], torch.arange(3)))
    assert [part[0] for part in parts] == [[1, 2], [3]]
    assert parts[1][1].tolist() == [2]
    with pytest.raises(AssertionError, match="sequences of one length"):
        next(batch_iterator(2, [1], [1, 2]))


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 3, 5, 7), (5, 7), (0, 5, 7)])
def test_boxes_of_masks_of_any_rank(shape):
    masks = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.2
    boxes = batched_mask_to_box(masks)
    assert boxes.shape == (*shape[:-2], 4)
    for mask, box in zip(masks.reshape(-1, 5, 7), boxes.reshape(-1, 4), strict=True):
        y, x = torch.nonzero(mask, as_tuple=True)
        assert box.tolist() == ([x.min(), y.min(), x.max(), y.max()] if len(x) else [0, 0, 0, 0])


def test_stability_is_the_overlap_of_two_cuts():
    logits = torch.tensor([[[[3.0, 0.5], [-0.5, -3]]]])
    assert calculate_stability_score(logits, 0.0, 1.0).tolist() == [[pytest.approx(1 / 3)]]


def squares(*corners):
    masks = np.zeros((len(corners), 20, 20), bool)
    for mask, (x, y) in zip(masks, corners, strict=True):
        mask[y : y + 6, x : x + 6] = True
    return torch.from_numpy(masks)


def test_small_regions_of_a_table_are_removed():
    masks = squares((1, 1), (10, 10), (1, 1))
    masks[0, 3, 3] = False  # a hole
    masks[1, 0, 19] = True  # an island
    data = MaskData(
        rles=mask_to_rle_pytorch(masks),
        boxes=batched_mask_to_box(masks),
        iou_preds=torch.tensor([0.9, 0.8, 0.7]),
        crop_boxes=torch.zeros(3, 4),
    )
    tidy = SamAutomaticMaskGenerator.postprocess_small_regions(data, 4, 0.7)
    assert tidy is data
    # Of the two that are alike now the one that did not change stays, and comes first
    assert tidy["iou_preds"].tolist() == pytest.approx([0.7, 0.8])
    found = [rle_to_mask(rle) for rle in tidy["rles"]]
    assert np.array_equal(found, squares((1, 1), (10, 10)).numpy())
    assert tidy["boxes"].tolist() == [[1, 1, 6, 6], [10, 10, 15, 15]]
    empty = MaskData(rles=[], boxes=torch.zeros(0, 4))
    assert SamAutomaticMaskGenerator.postprocess_small_regions(empty, 4, 0.7) is empty


def test_kinds_of_regions():
    mask = squares((1, 1))[0].numpy()
    mask[3, 3] = False
    assert remove_small_regions(mask, 2, "holes")[0].sum() == 36
    with pytest.raises(AssertionError, match="'holes' or 'islands', got 'rims'"):
        remove_small_regions(mask, 2, "rims")
