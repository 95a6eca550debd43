import numpy as np
import pytest

from persam_hq.evaluation import DavisDataset, EvaluationError
from persam_hq.evaluation.protocols.image_prompts import COLUMNS, evaluate_prompts, most_interior_point, object_box

MASK = np.zeros((30, 40), bool)
MASK[5:20, 10:30] = True


class FillsBoxes:
    """Gives a box filled, and for a point nothing, or with several masks the left half, all and the right half."""

    def __init__(self):
        self.images = []

    def set_image(self, image):
        self.images.append(image)
        self.shape = image.shape[:2]

    def predict(self, *, point_coords=None, point_labels=None, box=None, multimask_output):
        if box is not None:
            x0, y0, x1, y1 = (int(value) for value in box)
            mask = np.zeros(self.shape, bool)
            mask[y0:y1, x0:x1] = True
            return mask[None], np.ones(1), None
        (point,) = np.asarray(point_coords)
        assert MASK[int(point[1]), int(point[0])]
        assert point_labels == [1]
        if not multimask_output:
            return np.zeros((1, *self.shape), bool), np.ones(1), None
        left = np.zeros_like(MASK)
        left[:, :20] = True
        return np.stack([MASK & left, MASK, MASK & ~left]), np.ones(3), None


def test_the_box_has_outer_edges():
    assert object_box(MASK).tolist() == [10, 5, 30, 20]


def test_the_point_is_the_most_interior_one():
    x, y = most_interior_point(MASK)
    assert y == 12
    assert 17 <= x <= 22
    corner = np.zeros((9, 9), bool)
    corner[:5, :5] = True
    assert most_interior_point(corner).tolist() == [2, 2]


def test_a_row_a_clip(layout):
    layout.add("clip", [MASK.astype(np.uint8)] * 5 + [np.zeros_like(MASK, np.uint8)])
    predictor, said = FillsBoxes(), []
    (row,) = evaluate_prompts(predictor, DavisDataset(layout.root).select(), every=2, report=said.append)
    assert (row.name, row.images, said) == ("clip", 3, ["clip"])
    assert dict(zip(COLUMNS, row.scores, strict=True)) == {
        "box mIoU": 1,
        "box bIoU": 1,
        "point mIoU": 0,
        "point bIoU": 0,
        "best of 3": 1,
    }
    assert [image[0, 0, 0] for image in predictor.images] == [0, 2, 4]


@pytest.mark.parametrize(("every", "said"), [(0, "every=0: expected at least 1"), (1, "on none of the frames")])
def test_nothing_to_measure(layout, every, said):
    layout.add("clip", [np.zeros((30, 40), np.uint8)])
    with pytest.raises(EvaluationError, match=said):
        evaluate_prompts(FillsBoxes(), DavisDataset(layout.root).select(), every=every, report=print)
