import torch
import torch.nn.functional as F

from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.windows import (
    input_boxes,
    input_shares,
    moved_boxes,
    outer_edges,
    touches_window_edge,
    tracking_windows,
    whole_windows,
)
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


def test_windows_are_drawn_in_pixels_of_the_input():
    masks = torch.zeros(2, 50, 100, dtype=torch.bool)
    masks[0, 10:20, 30:50] = True
    masks[1, 49, 99] = True
    boxes = input_boxes(masks, GEOMETRY)
    assert boxes.tolist() == [[60, 20, 100, 40], [198, 98, 200, 100]]
    windows = tracking_windows(boxes, GEOMETRY, LiteConfig(min_side=30.0, track_factor=1.5))
    assert windows.tolist() == [[50, 0, 110, 60], [170, 70, 200, 100]]
    assert whole_windows(GEOMETRY, 2).tolist() == [[0, 0, 200, 100]] * 2
    assert outer_edges(torch.tensor([[1.0, 2, 3, 4]])).tolist() == [[1, 2, 4, 5]]


def test_masks_become_shares_of_the_padded_input():
    masks = torch.rand(2, 50, 100, generator=torch.Generator().manual_seed(0)) > 0.5
    shares = input_shares(masks, GEOMETRY)
    assert shares.shape == (2, 1, 128, 224)
    assert torch.equal(shares[:, :, :100, :200], F.interpolate(masks[:, None].float(), scale_factor=2))
    assert shares[:, :, 100:].abs().max() == 0
    assert shares[..., 200:].abs().max() == 0
