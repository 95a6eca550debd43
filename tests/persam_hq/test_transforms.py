import numpy as np
import pytest
import torch

from persam_hq.errors import ShapeError
from persam_hq.transforms import (
    LongestSide,
    MultipleOf,
    boxes_to_input,
    image_tensor,
    mask_image,
    mask_logits,
    masks_to_original,
    normalize_and_pad,
    points_to_input,
    points_to_original,
    resize_image,
    soft_mask_logits,
)
from persam_hq.types import ImageGeometry


@pytest.mark.parametrize(
    ("original", "resized"),
    [
        ((768, 1024), (768, 1024)),
        ((600, 1333), (461, 1024)),
        ((854, 480), (1024, 576)),
        ((100, 100), (1024, 1024)),
        ((1, 5000), (1, 1024)),
    ],
)
def test_longest_side(original, resized):
    geometry = LongestSide(1024)(original)
    assert (geometry.original, geometry.input, geometry.padded) == (original, resized, (1024, 1024))


@pytest.mark.parametrize(("original", "resized"), [((480, 854), (480, 864)), ((5, 70), (32, 64)), ((64, 32), (64, 32))])
def test_multiple_of(original, resized):
    geometry = MultipleOf(32)(original)
    assert geometry.input == geometry.padded == resized


def test_resize_keeps_an_image_of_the_right_size():
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    assert np.array_equal(resize_image(image, (7, 9)), image)


def test_resize_takes_reversed_channels():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 255
    assert resize_image(image[..., ::-1], (2, 2))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_resize_refuses_what_is_no_image(image):
    with pytest.raises(ShapeError, match=r"expected an image \(H, W, 3\) of uint8"):
        resize_image(image, (2, 2))


def test_image_tensor_puts_channels_first():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    tensor = image_tensor(image)
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor[0, 2, 1, 0] == image[1, 0, 2]


def test_mask_image_is_black_and_white():
    image = mask_image(np.array([[True, False]]))
    assert image.dtype == np.uint8
    assert image.tolist() == [[[255] * 3, [0] * 3]]


def test_padding_is_zero_after_normalisation():
    pixels = torch.full((1, 3, 2, 3), 10.0)
    padded = normalize_and_pad(pixels, mean=torch.full((3, 1, 1), 4.0), std=torch.full((3, 1, 1), 2.0), padded=(4, 4))
    assert padded.shape == (1, 3, 4, 4)
    assert (padded[..., :2, :3] == 3).all()
    assert padded.abs().sum() == 3 * 3 * 2 * 3


def test_an_image_larger_than_its_frame_is_refused():
    ones = torch.ones(3, 1, 1)
    with pytest.raises(ShapeError, match="does not fit into the input frame"):
        normalize_and_pad(torch.zeros(1, 3, 5, 3), mean=ones, std=ones, padded=(4, 4))


GEOMETRY = ImageGeometry(original=(20, 40), input=(48, 96), padded=(96, 96))


def test_points_there_and_back():
    points = torch.tensor([[0.0, 0.0], [10.0, 5.0], [39.0, 19.0]])
    moved = points_to_input(points, GEOMETRY)
    assert moved[1].tolist() == pytest.approx([24.0, 12.0])
    assert torch.allclose(points_to_original(moved, GEOMETRY), points)


def test_a_box_is_two_points():
    assert boxes_to_input(torch.tensor([10.0, 5.0, 20.0, 10.0]), GEOMETRY).tolist() == pytest.approx([24, 12, 48, 24])


def test_masks_lose_their_padding():
    maps = torch.full((1, 1, 24, 24), -1.0)
    maps[..., :12, :] = 1  # the image takes the upper half of its frame
    restored = masks_to_original(maps, GEOMETRY)
    assert restored.shape == (1, 1, 20, 40)
    assert torch.allclose(restored[..., :18, :], torch.ones(18, 40))


def test_a_mask_as_logits_of_an_earlier_pass():
    # A 4 by 8 image fills the upper half of an 8 by 8 frame; a cell of the 4 by 4 grid is 2 by 2 pixels
    geometry = ImageGeometry(original=(4, 8), input=(4, 8), padded=(8, 8))
    mask = torch.zeros(4, 8, dtype=torch.bool)
    mask[:2, :3] = True
    logits = mask_logits(mask, geometry, size=(4, 4), peak=8)
    assert logits.shape == (1, 4, 4)
    assert logits[0, 0].tolist() == [8, 0, -8, -8]
    assert (logits[0, 1:] == -8).all()


def test_a_soft_mask_as_logits():
    share = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert soft_mask_logits(share, peak=4.0).tolist() == [-4, -2, 0, 4]
    # Bit for bit what the trackers were measured with
    share = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(soft_mask_logits(share, peak=10.0), 20 * (share - 0.5))


def test_mask_logits_follow_the_resize():
    geometry = LongestSide(64)((24, 40))
    mask = torch.zeros(24, 40, dtype=torch.bool)
    mask[6:18, 10:30] = True
    logits = mask_logits(mask, geometry, size=(16, 16))
    back = masks_to_original(logits[None], geometry)[0, 0] > 0
    assert (back & mask).sum() / (back | mask).sum() > 0.8
