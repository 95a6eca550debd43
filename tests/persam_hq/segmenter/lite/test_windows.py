import torch

from persam_hq.segmenter.lite.windows import cut_off, shifted, whole_windows
from persam_hq.types import ImageGeometry

GEOMETRY = ImageGeometry(original=(50, 100), input=(100, 200), padded=(128, 224))


def test_the_edge_of_the_image_cuts_nothing_off():
    masks = torch.ones(1, 8, 8, dtype=torch.bool)
    assert not cut_off(masks, whole_windows(GEOMETRY, 1), GEOMETRY).any()
    half = torch.tensor([[0.0, 0, 100, 100]])
    assert cut_off(masks, half, GEOMETRY).all()
    masks[..., 6:] = False
    assert not cut_off(masks, half, GEOMETRY).any()
    masks[0, 3, 6] = True
    assert cut_off(masks, half, GEOMETRY).all(), "the outermost two cells count"


def test_boxes_move_at_most_by_half_of_themselves():
    boxes = torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 20]])
    assert shifted(boxes, torch.tensor([[3.0, -4], [90, -90]])).tolist() == [[3, -4, 13, 16], [10, -10, 20, 10]]
