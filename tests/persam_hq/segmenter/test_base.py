from dataclasses import replace

import pytest
import torch

from persam_hq.segmenter import LiteMemory, SamMemory
from persam_hq.segmenter.batching import choose, prompt_groups, stack_prompts
from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.types import DecoderOutput, ImageGeometry, PromptSet

BOX = torch.tensor([1.0, 2, 30, 20])
MASK = torch.zeros(1, 8, 8)
GEOMETRY = ImageGeometry(original=(20, 40), input=(40, 80), padded=(64, 96))


def prompt(points=0, *, box=False, mask=False):
    positive = [[float(i), float(i) + 1] for i in range(points)]
    return PromptSet.from_points(positive=positive, box=BOX if box else None, mask_input=MASK if mask else None)


@pytest.mark.parametrize(
    ("prompts", "groups"),
    [
        ([], []),
        ([prompt(1), prompt(1), prompt(1)], [[0, 1, 2]]),
        ([prompt(1), prompt(2), prompt(1)], [[0, 2], [1]]),
        ([prompt(1), prompt(1, box=True), prompt(1, mask=True), prompt(1, box=True, mask=True)], [[0], [1], [2], [3]]),
        ([prompt(0), prompt(0, box=True), prompt(0)], [[0, 2], [1]]),
    ],
)
def test_only_equal_prompts_share_a_decoder_call(prompts, groups):
    assert prompt_groups(prompts) == groups


def test_a_group_becomes_a_batch_in_pixels_of_the_input():
    batch = stack_prompts([prompt(2, box=True, mask=True)] * 3, GEOMETRY)
    positions, labels = batch.points
    assert positions.shape == (3, 2, 2)
    assert positions[0].tolist() == [[0, 2], [2, 4]]
    assert torch.equal(labels, torch.ones(3, 2))
    assert batch.boxes[1].tolist() == [2, 4, 60, 40]
    assert batch.masks.shape == (3, 1, 8, 8)


def test_a_group_without_prompts_is_empty():
    batch = stack_prompts([prompt(), prompt()], GEOMETRY)
    assert (batch.points, batch.boxes, batch.masks) == (None, None, None)


def decoded(*, hq=False):
    """Three masks of 1, 9 and 4 pixels after a single one of 25, with IoU that ranks the last one best."""
    masks = torch.full((2, 4, 6, 6), -1.0)
    for index, side in enumerate((5, 1, 3, 2)):
        masks[:, index, :side, :side] = 1 + index
    iou = torch.tensor([[0.1, 0.3, 0.5, 0.7], [0.2, 0.9, 0.4, 0.6]])
    return DecoderOutput(masks=masks, iou_predictions=iou, hq_masks=torch.zeros(2, 1, 6, 6) if hq else None)


@pytest.mark.parametrize(
    ("choice", "hq", "peaks", "iou"),
    [
        ("single", False, [1, 1], [0.1, 0.2]),
        ("best", False, [4, 2], [0.7, 0.9]),
        ("largest", False, [3, 3], [0.5, 0.4]),
        ("single", True, [1, 1], [0.1, 0.2]),
        ("best", True, [4, 2], [0.7, 0.9]),
        ("largest", True, [4, 2], [0.7, 0.9]),
    ],
)
def test_one_mask_an_object_is_chosen(choice, hq, peaks, iou):
    masks, scores = choose(decoded(hq=hq), choice)
    assert masks.shape == (2, 6, 6)
    assert masks.amax(dim=(1, 2)).tolist() == peaks
    assert torch.allclose(scores, torch.tensor(iou))


def test_a_memory_counts_its_bytes():
    appearance = Appearance.empty(2, cells=4, key_dim=3, slots=2)
    lite = LiteMemory(
        boxes=torch.zeros(2, 4),
        logits=torch.zeros(2, 1, 8, 8, dtype=torch.int8),
        windows=torch.zeros(2, 4),
        keys=torch.zeros(2, 3, 2, 2, dtype=torch.int8),
        missing=torch.zeros(2, dtype=torch.int64),
        velocity=torch.zeros(2, 2),
        appearance=appearance,
    )
    assert lite.nbytes - appearance.nbytes == 2 * 16 + 2 * 64 + 2 * 16 + 2 * 12 + 16 + 16
    assert repr(lite) == f"LiteMemory(objects=2, bytes={lite.nbytes})"
    learned = replace(lite, appearance=Appearance.empty(2, cells=4, key_dim=3, slots=3))
    assert learned.nbytes == lite.nbytes + 2 * 4 * (3 + 2)

    sam = SamMemory(
        boxes=torch.zeros(2, 4), logits=torch.zeros(2, 1, 8, 8).half(), missing=torch.zeros(2, dtype=torch.int64)
    )
    assert sam.nbytes == 2 * 16 + 2 * 128 + 16
    assert repr(sam) == "SamMemory(objects=2, bytes=304)"
