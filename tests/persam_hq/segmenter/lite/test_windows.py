import torch

from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.windows import moved_boxes, touches_window_edge, whole_windows
from persam_hq.types import ImageGeometry

GEOMETRY = ImageGeometry(original=(50, 100), input=(100, 200), padded=(128, 224))
CONFIG = LiteConfig()


def test_the_edge_of_the_image_cuts_nothing_off():
    masks = torch.ones(1, 8, 8, dtype=torch.bool)
    assert not touches_window_edge(masks, whole_windows(GEOMETRY, 1), GEOMETRY, CONFIG).any()
    half = torch.tensor([[0.0, 0, 100, 100]])
    assert touches_window_edge(masks, half, GEOMETRY, CONFIG).all()
    masks[..., 6:] = False
    assert not touches_window_edge(masks, half, GEOMETRY, CONFIG).any()
    masks[0, 3, 6] = True
    assert touches_window_edge(masks, half, GEOMETRY, CONFIG).all(), "the outermost two cells count"


def test_boxes_move_at_most_by_half_of_themselves():
    boxes = torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 20]])
    assert moved_boxes(boxes, torch.tensor([[3.0, -4], [90, -90]]), CONFIG).tolist() == [
        [3, -4, 13, 16],
        [10, -10, 20, 10],
    ]
