import pytest
import torch
from stand_ins.lite import tiny_lite

from persam_hq.modeling.lite.location_prior import FIRST_CHANNELS, PREVIOUS_CHANNELS, PRIOR_CHANNELS, PriorChannel
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.mask_selection import held_by, mask_by_points
from persam_hq.segmenter.lite.prompted import (
    agreeing,
    draw_prompts,
    drawn_over,
    moved_prompts,
    prompted_boxes,
    speaks,
)
from persam_hq.types import DecoderOutput, ImageGeometry, PromptSet

CONFIG = LiteConfig()
GRID = 24
# An image of 100 x 200 that is encoded at twice its size, and one window over its left half
GEOMETRY = ImageGeometry(original=(100, 200), input=(200, 400), padded=(224, 416))
WINDOW = torch.tensor([[0.0, 0.0, 200.0, 200.0]])


def prompts(*, positive=(), negative=(), box=None, mask=None):
    box = None if box is None else torch.tensor(box, dtype=torch.float32)
    return PromptSet.from_points(positive=positive, negative=negative, box=box, mask_input=mask)


def mask_logits(y0, y1, x0, x1):
    logits = torch.full((1, GRID, GRID), -8.0)
    logits[:, y0:y1, x0:x1] = 8.0
    return logits


def prior(*, known=True):
    """Matching finds an object in the upper left quarter of the window: pixels 0 to 50 of the image, each way."""
    values = torch.zeros(1, PRIOR_CHANNELS, GRID // 2, GRID // 2)
    values[:, PriorChannel.FIRST_READ_OUT] = -0.8
    values[:, PriorChannel.FIRST_READ_OUT, :6, :6] = 0.8
    values[:, PriorChannel.FIRST_KNOWN] = float(known)
    return values


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, False),
        ({"positive": [[1.0, 2.0]]}, True),
        ({"negative": [[1.0, 2.0]]}, True),
        ({"box": [0, 0, 9, 9]}, True),
        ({"mask": mask_logits(0, 4, 0, 4)}, True),
    ],
)
def test_a_prompt_set_that_speaks(given, says):
    assert speaks(prompts(**given)) is says


@pytest.mark.parametrize(
    ("given", "box"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"positive": [[20.0, 30.0]]}, None, id="a point in the window"),
        pytest.param({"negative": [[190.0, 30.0]]}, None, id="a negative point says nothing of where"),
        pytest.param({"box": [150, 10, 190, 50]}, [300, 20, 380, 100], id="a box"),
        pytest.param({"box": [10, 10, 40, 50]}, [20, 20, 80, 100], id="a box in the window"),
        pytest.param({"box": [10, 10, 40, 50], "mask": mask_logits(0, 4, 0, 4)}, None, id="a mask lies where it is"),
        # As large as was expected: 200 pixels without the margin of 1.5
        pytest.param({"positive": [[175.0, 50.0]]}, [283, 33, 417, 167], id="a point elsewhere"),
        pytest.param({"positive": [[10.0, 10.0], [190.0, 10.0]]}, [20, -160, 380, 200], id="points far apart"),
    ],
)
def test_where_prompts_place_an_object(given, box):
    boxes, placed = prompted_boxes([prompts(**given)], WINDOW, GEOMETRY, CONFIG)
    assert placed.tolist() == [box is not None]
    if box is not None:
        assert boxes[0].tolist() == pytest.approx(box, abs=1)


def test_a_mask_prompt_moves_with_its_window():
    (kept,) = moved_prompts([prompts(mask=mask_logits(12, 24, 12, 24))], WINDOW, WINDOW)
    assert torch.equal(kept.mask_input, mask_logits(12, 24, 12, 24))
    # Seen through a window that starts in the middle of the old one, its lower right quarter is the upper left one
    there = torch.tensor([[100.0, 100.0, 300.0, 300.0]])
    (moved,) = moved_prompts([prompts(mask=mask_logits(12, 24, 12, 24))], WINDOW, there)
    inside = moved.mask_input[0] > 0
    assert inside[:12, :12].float().mean() > 0.9
    assert not inside[13:].any()
    assert not inside[:, 13:].any()


def drawn(given):
    return draw_prompts([given], WINDOW, GEOMETRY, CONFIG, grid=GRID)


def test_a_box_is_filled_and_nothing_lies_outside_of_it():
    maps = drawn(prompts(box=[25, 0, 50, 100], positive=[[89.6, 52.1]], negative=[[39.6, 52.1]]))
    assert maps.limits[0, 0, :, 6:12].min() == 1
    assert maps.limits[0, 0, :, :6].max() == maps.limits[0, 0, :, 12:].max() == 0
    assert maps.alone[0, 0, 2, 8] == 1
    assert maps.alone[0, 0, :, 13:].max() == 0  # the point, too
    assert maps.alone[0, 0, 12, 9] < 0.5  # cut out
    assert maps.inside[0, 0, 12, 21] > 0.5
    assert maps.outside[0, 0, 12, 9] > 0.5


def test_without_anything_nothing_is_drawn():
    maps = drawn(prompts())
    assert maps.alone.max() == maps.inside.max() == maps.outside.max() == 0
    assert maps.limits.min() == 1


@pytest.mark.parametrize(
    ("given", "agrees"),
    [
        pytest.param({"positive": [[25.0, 25.0]]}, True, id="a point on it"),
        pytest.param({"positive": [[80.0, 80.0]]}, False, id="a point beside it"),
        pytest.param({"positive": [[20.0, 20.0], [30.0, 30.0], [80.0, 80.0]]}, True, id="most points on it"),
        pytest.param({"negative": [[25.0, 25.0]]}, True, id="a negative point cuts, and contradicts nothing"),
        pytest.param({"box": [0, 0, 50, 50]}, True, id="its box"),
        pytest.param({"box": [5, 5, 45, 45]}, True, id="a tight box"),
        pytest.param({"box": [0, 0, 80, 50]}, True, id="a wide box"),
        pytest.param({"box": [55, 55, 99, 99]}, False, id="a box elsewhere"),
        pytest.param({"box": [0, 0, 10, 10]}, False, id="a small part of it"),
        pytest.param({"box": [0, 0, 50, 50], "positive": [[80.0, 80.0]]}, False, id="its box, a point elsewhere"),
        pytest.param({"mask": mask_logits(0, 11, 0, 11)}, True, id="its mask"),
        pytest.param({"mask": mask_logits(12, 24, 12, 24)}, False, id="another mask"),
    ],
)
def test_prompts_that_agree_with_matching(given, agrees):
    given = prompts(**given)
    assert agreeing([given], drawn(given), prior(), CONFIG).tolist() == [agrees]
    # Nothing is known, so that nothing is contradicted
    assert agreeing([given], drawn(given), prior(known=False), CONFIG).tolist() == [True]


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


@pytest.fixture(scope="module")
def seen(model):
    pixels = torch.rand(1, 3, 224, 416, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embedding, interm, hq = model.encode(pixels)
        return model.through_windows(embedding, interm, WINDOW, hq=hq)


@torch.no_grad()
def test_prompts_that_agree_are_drawn_over_every_source(model, seen):
    given = prompts(box=[0, 0, 40, 100], positive=[[29.0, 79.0]], negative=[[12.5, 12.5]])
    before = prior()
    before[:, PriorChannel.RIDGE_SCORE], before[:, PriorChannel.PREVIOUS_READ_OUT] = 0.5, 0.5
    after = drawn_over(model, seen, before, drawn=drawn(given), agrees=torch.tensor([True]), config=CONFIG)
    for channel in (PriorChannel.FIRST_READ_OUT, PriorChannel.RIDGE_SCORE, PriorChannel.PREVIOUS_MASK_TOP_LEFT):
        assert after[0, channel, :, 6:].max() == -1  # outside of the box
        assert after[0, channel, 9, 3] == 1
        assert after[0, channel, 1, 1] == -1
    # Elsewhere it stays, and so do similarities and flags
    assert after[0, PriorChannel.FIRST_READ_OUT, 4, 2] == before[0, PriorChannel.FIRST_READ_OUT, 4, 2]
    assert torch.equal(after[:, PriorChannel.FIRST_KNOWN], before[:, PriorChannel.FIRST_KNOWN])
    assert before[0, PriorChannel.FIRST_READ_OUT].min() == pytest.approx(-0.8)  # what was handed in


@torch.no_grad()
def test_prompts_that_contradict_stand_alone(model, seen):
    given = drawn(prompts(box=[55, 55, 99, 99]))
    after = drawn_over(model, seen, prior(), drawn=given, agrees=torch.tensor([False]), config=CONFIG)
    assert torch.equal(after, model.prompt_prior(seen, given.alone))
    assert after[:, FIRST_CHANNELS].abs().max() == 0
    assert after[:, PREVIOUS_CHANNELS].abs().max() > 0


def two_parts():
    logits = torch.full((1, 1, GRID, GRID), -6.0)
    logits[..., 2:8, 2:8], logits[..., 14:20, 14:20] = 6.0, 6.0
    return logits


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        pytest.param([], 72, id="without points"),
        pytest.param([(4, 4)], 36, id="one part"),
        pytest.param([(4, 4), (16, 16)], 72, id="both"),
        pytest.param([(10, 10)], 1, id="where no part is"),
    ],
)
def test_a_mask_keeps_the_parts_that_hold_a_point(points, kept):
    pointed = torch.zeros(1, 1, GRID, GRID)
    for y, x in points:
        pointed[..., y, x] = 1
    held = held_by(pointed, two_parts(), CONFIG) > 0
    assert held.sum() == kept
    assert all(held[0, 0, y, x] for y, x in points)


def test_of_several_masks_one_that_holds_the_points_is_taken():
    masks = two_parts().repeat(1, 4, 1, 1)
    masks[:, 0, 14:20, 14:20] = -6
    output = DecoderOutput(masks=masks, iou_predictions=torch.tensor([[0.9, 0.2, 0.5, 0.3]]), hq_masks=None)
    pointed = torch.zeros(1, 1, GRID, GRID)
    assert mask_by_points(output, pointed, CONFIG).tolist() == [0]
    pointed[..., 16, 16] = 1
    assert mask_by_points(output, pointed, CONFIG).tolist() == [2]
