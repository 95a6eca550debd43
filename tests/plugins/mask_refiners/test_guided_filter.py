import numpy as np
import pytest
import torch
from stand_ins.frame import predicted, rectangles, refined, registered

from persamhq_plugins.mask_refiners.guided_filter import GuidedFilter, guided_filter, persamhq_register_mask_refiners
from persamhq_video.errors import ConfigError

SIZE = (60, 80)
TRUE_BOX, COARSE_BOX = (20, 15, 50, 45), (22, 17, 52, 47)


def picture(box=TRUE_BOX, *, inside=(200, 60, 40), outside=(40, 60, 200), size=SIZE):
    """An image (H, W, 3) of one rectangle, with a little noise."""
    image = np.where(rectangles(box, size=size).numpy()[..., None], inside, outside)
    return (image + np.random.default_rng(0).integers(-3, 4, image.shape)).clip(0, 255).astype(np.uint8)


def iou(mask, box=TRUE_BOX):
    truth = rectangles(box, size=tuple(mask.shape))
    return float((mask & truth).sum() / (mask | truth).sum())


def test_the_border_moves_to_the_edge_of_the_image():
    coarse = predicted(rectangles(COARSE_BOX, size=SIZE))
    found = refined(GuidedFilter(radius=6), coarse, image=picture())
    assert iou(coarse.masks[0]) < 0.8
    assert iou(found.masks[0]) > 0.97


def test_an_edge_of_colour_alone_needs_colour():
    image = picture(inside=(150, 50, 100), outside=(50, 150, 100))  # of one brightness
    coarse = predicted(rectangles(COARSE_BOX, size=SIZE))
    with_colour, without = (
        refined(GuidedFilter(radius=6, colour=c), coarse, image=image).masks[0] for c in (True, False)
    )
    assert iou(with_colour) > 0.95
    assert iou(without) < iou(with_colour) - 0.1


@pytest.mark.parametrize("image", [np.zeros((*SIZE, 3), np.uint8), picture((0, 0, 80, 60))], ids=["black", "noise"])
def test_where_the_image_has_no_edges_straight_borders_stay_and_corners_are_rounded(image):
    band, box = (rectangles(b, size=SIZE) for b in ((22, 0, 52, 60), COARSE_BOX))
    found = refined(GuidedFilter(radius=6, eps=1e-2), predicted(band, box), image=image)
    assert torch.equal(found.masks[0], band)
    assert not (found.masks[1] & ~box).any()
    assert iou(found.masks[1], COARSE_BOX) > 0.85


@pytest.mark.parametrize("size", [SIZE, (7, 13), (1, 9), (31, 1), (1, 1)])
@pytest.mark.parametrize("where", ["nowhere", "one pixel", "corner", "everywhere"])
def test_masks_and_sizes_of_any_kind(size, where):
    height, width = size
    boxes = {
        "nowhere": [],
        "one pixel": [(width // 2, height // 2, width // 2 + 1, height // 2 + 1)],
        "corner": [(width - 3, height - 3, width, height)],
        "everywhere": [(0, 0, width, height)],
    }[where]
    mask = rectangles(*[(max(0, x0), max(0, y0), x1, y1) for x0, y0, x1, y1 in boxes], size=size)
    found = refined(GuidedFilter(radius=6), predicted(mask, rectangles(size=size)), image=picture(size=size))
    assert torch.isfinite(found.logits).all()
    assert not found.masks[1].any()
    if where in {"nowhere", "everywhere"}:
        assert torch.equal(found.masks[0], mask)


def test_only_a_window_around_the_mask_changes():
    coarse = predicted(rectangles((30, 20, 40, 30), size=SIZE))
    found = refined(GuidedFilter(radius=2), coarse, image=picture())
    changed = (found.logits != coarse.logits)[0]
    assert changed.any()
    assert not (changed & ~rectangles((25, 15, 45, 35), size=SIZE)).any()


class TestTheFilter:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_it_does_what_the_paper_says_pixel_by_pixel(self, channels):
        random = np.random.default_rng(1)
        guide, values = random.random((9, 11, channels)), random.random((9, 11))
        radius, eps = 2, 0.01
        padded = np.pad(np.dstack([guide, values]), ((4, 4), (4, 4), (0, 0)), mode="symmetric")

        def slopes(y, x):
            square = padded[y - radius : y + radius + 1, x - radius : x + radius + 1].reshape(-1, channels + 1)
            mean = square.mean(axis=0)
            spread = (square - mean).T @ (square - mean) / len(square)
            a = np.linalg.solve(spread[:-1, :-1] + eps * np.eye(channels), spread[:-1, -1])
            return np.append(a, mean[-1] - a @ mean[:-1])

        # In the middle no square of a square is cut by the border
        y, x = 4, 5
        around = [slopes(4 + y + dy, 4 + x + dx) for dy in range(-2, 3) for dx in range(-2, 3)]
        expected = np.mean(around, axis=0) @ np.append(guide[y, x], 1)
        assert guided_filter(guide, values, radius=radius, eps=eps)[y, x] == pytest.approx(expected)

    def test_a_linear_function_of_the_guide_passes_through(self):
        guide = np.random.default_rng(2).random((20, 30, 3))
        values = guide @ [0.5, -0.2, 0.3] + 0.1
        assert np.allclose(guided_filter(guide, values, radius=4, eps=1e-9), values, atol=1e-6)

    def test_the_number_of_threads_changes_no_bit(self):
        import cv2

        random = np.random.default_rng(3)
        guide, values = random.random((200, 300, 3)), random.random((200, 300))
        before = cv2.getNumThreads()
        try:
            found = []
            for threads in (1, 4):
                cv2.setNumThreads(threads)
                found.append(guided_filter(guide, values, radius=6, eps=1e-4))
        finally:
            cv2.setNumThreads(before)
        assert np.array_equal(*found)


@pytest.mark.parametrize("options", [{"radius": 0}, {"eps": 0}, {"radius": 201}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_mask_refiners)["guided_filter"].make(options)


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "guided_filter"
    assert entry.summary
    assert all(option.doc for option in entry.options)
