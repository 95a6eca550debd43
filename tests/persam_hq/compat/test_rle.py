import numpy as np
import pytest
import torch

from persam_hq.compat.rle import Rle, area_from_rle, coco_encode_rle, masks_to_rle, rle_to_mask


def masks(seed, count=4, size=(7, 11)):
    return np.random.default_rng(seed).random((count, *size)) < 0.4


def runs_by_hand(mask):
    """Column by column, a pixel at a time."""
    counts, current = [0], False
    for value in mask.flatten(order="F"):
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


def decoded(text):
    """COCO's string, as its format is described: five bits a character, then differences to the count but one."""
    numbers, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
            value, shift = 0, 0
    return numbers


@pytest.mark.parametrize("seed", range(4))
def test_runs_go_down_the_columns_background_first(seed):
    found = masks(seed)
    for mask, rle in zip(found, masks_to_rle(torch.from_numpy(found)), strict=True):
        assert rle == {"size": [7, 11], "counts": runs_by_hand(mask)}
        assert np.array_equal(rle_to_mask(rle), mask)
        assert area_from_rle(rle) == mask.sum()


@pytest.mark.parametrize(("value", "counts"), [(True, [0, 12]), (False, [12])])
def test_a_mask_of_one_value(value, counts):
    (rle,) = masks_to_rle(torch.full((1, 3, 4), value))
    assert rle["counts"] == counts
    assert (rle_to_mask(rle) == value).all()


def test_no_masks():
    assert masks_to_rle(torch.zeros(0, 3, 4, dtype=torch.bool)) == []


@pytest.mark.parametrize(
    ("counts", "text"), [([5], "5"), ([0, 12], "0<"), ([16], "`0"), ([33], "Q1"), ([3, 2, 4, 1, 2], "324On")]
)
def test_cocos_strings(counts, text):
    encoded = coco_encode_rle(Rle(size=[9, 9], counts=counts))
    assert decoded(encoded["counts"]) == counts
    assert encoded["size"] == [9, 9]
    if len(counts) <= 3:
        assert encoded["counts"] == text


@pytest.mark.parametrize("seed", range(4))
def test_cocos_strings_come_back(seed):
    generator = np.random.default_rng(seed)
    counts = [int(value) for value in generator.integers(0, 100_000, 40)]
    assert decoded(coco_encode_rle(Rle(size=[1, sum(counts)], counts=counts))["counts"]) == counts
