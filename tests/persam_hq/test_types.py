from dataclasses import FrozenInstanceError

import pytest
import torch

from persam_hq.errors import InputError, PersamHQError, ShapeError
from persam_hq.types import (
    DecoderOutput,
    Guidance,
    ImageFeatures,
    ImageGeometry,
    LocationPrior,
    MaskPrediction,
    PromptSet,
    Target,
)

GEOMETRY = ImageGeometry(original=(30, 40), input=(48, 64), padded=(64, 64))


def features(**changes):
    values = {"image_embedding": torch.zeros(1, 8, 4, 4), "interm_embeddings": (), "geometry": GEOMETRY}
    return ImageFeatures(**values | changes)


def prediction(**changes):
    values = {
        "masks": torch.zeros(3, 30, 40, dtype=torch.bool),
        "scores": torch.tensor([0.1, 0.9, 0.9]),
        "low_res_logits": torch.zeros(3, 16, 16),
        "logits": torch.zeros(3, 30, 40),
    }
    return MaskPrediction(**values | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageGeometry(original=(0, 40), input=(1, 1), padded=(1, 1)), r"original is \(0, 40\)"),
        (lambda: ImageGeometry(original=(9, 9), input=(65, 64), padded=(64, 64)), "does not fit into the padded"),
        (lambda: features(image_embedding=torch.zeros(2, 8, 4, 4)), "image_embedding has shape"),
        (lambda: features(interm_embeddings=(torch.zeros(4, 4, 8),)), r"interm_embeddings\[0\]"),
        (lambda: features(hq_features=torch.zeros(8, 4, 4)), "hq_features has shape"),
        (lambda: Target(feature=torch.zeros(8), embedding=torch.zeros(8), cells=1), r"expected \(1, 1, 8\)"),
        (
            lambda: LocationPrior(grid=torch.zeros(4, 4), similarity=torch.zeros(30, 41), geometry=GEOMETRY),
            r"expected \(30, 40\)",
        ),
        (lambda: Guidance(attn_sim=torch.zeros(16)), "attn_sim has shape"),
        (lambda: Guidance(target_embedding=torch.zeros(8)), "target_embedding has shape"),
        (lambda: PromptSet(points=torch.zeros(2, 2), labels=torch.zeros(1)), r"labels has shape \(1,\)"),
        (lambda: PromptSet.from_points(box=torch.zeros(1, 4)), "box has shape"),
        (lambda: PromptSet.from_points(mask_input=torch.zeros(16, 16)), "mask_input has shape"),
        (
            lambda: DecoderOutput(masks=torch.zeros(1, 4, 9, 9), iou_predictions=torch.zeros(1, 3), hq_masks=None),
            "iou_predictions has shape",
        ),
        (lambda: prediction(masks=torch.zeros(3, 30, 40)), "must be bool"),
        (lambda: prediction(scores=torch.zeros(2)), "scores has shape"),
        (lambda: prediction(logits=torch.zeros(3, 30, 41)), "logits has shape"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(make, message):
    with pytest.raises(ShapeError, match=message):
        make()


def decoded(hq):
    return DecoderOutput(masks=torch.zeros(2, 4, 6, 9), iou_predictions=torch.zeros(2, 4), hq_masks=torch.zeros(hq))


@pytest.mark.parametrize("finer", [1, 2, 3])
def test_hq_masks_may_be_a_whole_number_of_times_as_fine(finer):
    assert decoded((2, 1, 6 * finer, 9 * finer)).hq_masks.shape == (2, 1, 6 * finer, 9 * finer)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param((2, 1, 12, 9), r"\(2, 1, 6, 9\)", id="finer down only"),
        pytest.param((2, 1, 6, 18), r"\(2, 1, 12, 18\)", id="finer across only"),
        pytest.param((2, 1, 9, 13), r"\(2, 1, 6, 9\)", id="half as fine again"),
        pytest.param((2, 1, 3, 4), r"\(2, 1, 6, 9\)", id="coarser"),
        pytest.param((2, 4, 12, 18), r"\(2, 1, 12, 18\)", id="more than one"),
        pytest.param((1, 1, 12, 18), r"\(2, 1, 12, 18\)", id="of fewer objects"),
    ],
)
def test_hq_masks_on_any_other_grid_are_refused(shape, expected):
    with pytest.raises(ShapeError, match=rf"hq_masks has shape .*expected {expected}"):
        decoded(shape)


def test_a_target_without_cells_is_refused():
    with pytest.raises(InputError, match="at least one cell"):
        Target(feature=torch.zeros(8), embedding=torch.zeros(1, 1, 8), cells=0)


def test_every_error_is_one_of_ours():
    assert issubclass(ShapeError, PersamHQError)
    assert issubclass(ShapeError, ValueError)


def test_values_are_frozen_and_compare_by_identity():
    one, other = features(), features()
    assert one != other
    with pytest.raises(FrozenInstanceError):
        one.geometry = GEOMETRY


def test_the_repr_shows_shapes_only():
    shown = repr(features(interm_embeddings=(torch.zeros(1, 4, 4, 8),)))
    assert "image_embedding=Tensor(1, 8, 4, 4)[float32]" in shown
    assert "interm_embeddings=(Tensor(1, 4, 4, 8)[float32])" in shown
    assert "tensor" not in shown


def test_from_points_puts_positive_points_first():
    prompts = PromptSet.from_points(positive=[(1, 2)], negative=[(3, 4), (5, 6)])
    assert prompts.points.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert prompts.labels.tolist() == [1, 0, 0]


def test_from_points_without_any():
    prompts = PromptSet.from_points(box=torch.tensor([0.0, 0, 1, 1]))
    assert prompts.points.shape == (0, 2)
    assert prompts.labels.shape == (0,)


def test_the_best_mask_is_the_first_among_equals():
    assert prediction().best == 1
