import cv2
import numpy as np
import pytest
import torch

from persamhq_video import personalize_video
from persamhq_video.tracking.mixed_identity import distinctness

EVERY = torch.tensor([True, True])


def squares(*places, size=(200, 300)):
    """Masks of squares, each by its left edge, top edge and side."""
    masks = torch.zeros(len(places), *size, dtype=torch.bool)
    for mask, (x, y, side) in zip(masks, places, strict=True):
        mask[y : y + side, x : x + side] = True
    return masks


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(0, 0, 100)], [1.0]),
        ([(0, 0, 100), (150, 0, 100)], [1, 1]),
        ([(0, 0, 100), (0, 0, 100)], [0, 0]),
        ([(0, 0, 100), (40, 0, 100)], [1, 1]),
        ([(0, 0, 100), (20, 0, 100)], [1 / 3, 1 / 3]),
        ([(0, 0, 10), (2, 0, 10)], [1 / 3, 1 / 3]),
        ([(0, 0, 100), (40, 40, 20)], [1, 1]),
        ([(0, 0, 100), (0, 0, 100), (150, 0, 100)], [0, 0, 1]),
        ([(0, 0, 100), (20, 0, 100), (0, 0, 100)], [0, 1 / 3, 0]),
        ([(0, 0, 0), (0, 0, 0)], [1, 1]),
    ],
)
def test_objects_of_one_region_are_not_distinct(places, expected):
    masks = squares(*places)
    assert distinctness(masks, torch.ones(len(masks), dtype=torch.bool)).tolist() == pytest.approx(expected, abs=1e-6)


def test_an_absent_object_claims_nothing():
    masks = squares((0, 0, 100), (0, 0, 100))
    assert distinctness(masks, torch.tensor([True, False])).tolist() == [1, 1]


def texture(seed, colour):
    cells = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    enlarged = cv2.resize(cells, (56, 56), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(0.5 * enlarged + 0.5 * np.array(colour), 0, 255).astype(np.uint8)


def crossing(folder, second):
    """Frames of two textured discs that cross, the second one in front; the label map of the first frame."""
    height, width, side, last = 144, 240, 56, 8
    ground = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    ground = cv2.convertScaleAbs(cv2.GaussianBlur(ground, (0, 0), 6), alpha=2.2, beta=-170)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    disc = x**2 + y**2 <= (side / 2) ** 2

    folder.mkdir()
    first = np.zeros((height, width), np.uint8)
    for index in range(last + 1):
        frame, moved = ground.copy(), round(index / last * (width - side - 30))
        discs = ((texture(5, (220, 60, 40)), 15 + moved, 38), (second, width - side - 15 - moved, 50))
        for object_id, (pixels, left, top) in enumerate(discs, start=1):
            frame[top : top + side, left : left + side][disc] = pixels[disc]
            if index == 0:
                first[top : top + side, left : left + side][disc] = object_id
        cv2.imwrite(str(folder / f"{index:02d}.png"), frame[..., ::-1])
    return first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "is_mixed"),
    [(texture(5, (220, 60, 40)), True), (texture(9, (40, 80, 220)), False)],
    ids=["equal", "not"],
)
def test_only_equal_objects_that_cross_are_doubted(second, is_mixed, tmp_path):
    first = crossing(tmp_path / "frames", second)
    *before, end = personalize_video(tmp_path / "frames", mask=first, executor="inline", workers=1)
    assert {entry.state for entry in before[1].objects} == {"present"}
    assert {entry.state for entry in end.objects} == {"uncertain" if is_mixed else "present"}
    assert all((entry.score < 0.5) == is_mixed for entry in end.objects)
    if not is_mixed:
        assert {entry.state for result in before[1:] for entry in result.objects} == {"present"}
