import numpy as np
import pytest
import torch

from persam_hq.compat.segment_anything import SamPredictor
from persam_hq.errors import InputError

IMAGE = np.random.default_rng(5).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_prepare_and_preprocess_agree(square):
    pixels, geometry = square.prepare(IMAGE)
    assert pixels.shape == (1, 3, 64, 64)
    assert (geometry.original, geometry.input, geometry.padded) == ((24, 40), (38, 64), (64, 64))
    resized = pixels[..., :38, :] * square.pixel_std + square.pixel_mean
    assert torch.allclose(square.preprocess(resized), pixels, atol=1e-5)


def test_postprocess_cuts_the_padding(square):
    logits = torch.ones(2, 3, 16, 16)
    restored = square.postprocess_masks(logits, (38, 64), (24, 40))
    assert restored.shape == (2, 3, 24, 40)
    assert torch.allclose(restored, torch.ones(()))


@torch.no_grad()
def test_hq_features_are_fused_once_where_there_is_a_use_for_them(square, square_plain):
    features, plain = (model.encode(*model.prepare(IMAGE)) for model in (square, square_plain))
    assert features.hq_features.shape == (1, 4, 16, 16)
    assert plain.hq_features is None
    assert torch.equal(features.image_embedding, plain.image_embedding)


@torch.no_grad()
def test_decode_serves_several_objects_at_once(square):
    features = square.encode(*square.prepare(IMAGE))
    boxes = torch.tensor([[2.0, 2, 30, 30], [10, 10, 60, 36]])
    both = square.decode(features, boxes=boxes)
    assert both.masks.shape == (2, 4, 16, 16)
    for index in range(2):
        alone = square.decode(features, boxes=boxes[index : index + 1])
        assert torch.allclose(both.hq_masks[index], alone.hq_masks[0], atol=1e-5)


def test_the_device_is_where_the_weights_are(square):
    assert square.device == torch.device("cpu")
    assert "pixel_mean" not in square.state_dict()


def record(seed, *, original_size=(24, 40), **more):
    image = torch.randint(0, 256, (3, 38, 64), generator=torch.Generator().manual_seed(seed)).float()
    return {"image": image, "original_size": original_size, **more}


POINTS = {"point_coords": torch.tensor([[[20.0, 10]], [[40.0, 30]]]), "point_labels": torch.ones(2, 1)}
BOXES = {"boxes": torch.tensor([[4.0, 5, 40, 30]])}
SIM = torch.rand(1, 1, 1, 16, generator=torch.Generator().manual_seed(3))
TARGET = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(("name", "count"), [("square_plain", 3), ("square", 1)])
def test_forward_answers_every_record(request, name, count):
    model = request.getfixturevalue(name)
    first, second = model([record(0, **POINTS), record(1, original_size=(48, 80), **BOXES)], multimask_output=True)
    assert list(first) == ["masks", "iou_predictions", "low_res_logits"]
    assert first["masks"].shape == (2, count, 24, 40)
    assert first["masks"].dtype == torch.bool
    assert first["iou_predictions"].shape == (2, count)
    assert first["low_res_logits"].shape == (2, count, 16, 16)
    assert second["masks"].shape == (1, count, 48, 80)


@pytest.mark.parametrize("prompts", [POINTS, BOXES, POINTS | {"mask_inputs": torch.ones(2, 1, 16, 16)}])
@pytest.mark.parametrize("more", [{}, {"attn_sim": SIM}, {"target_embedding": TARGET}, {"hq_token_only": True}])
@pytest.mark.parametrize("multimask_output", [True, False])
def test_forward_is_the_predictor_on_each_record(square, prompts, more, multimask_output):
    records = [record(0, **prompts, **more), record(1, **POINTS)]
    answer, _ = square(records, multimask_output)
    predictor = SamPredictor(square)
    predictor.set_torch_image(records[0]["image"][None], (24, 40))
    masks, scores, low_res = predictor.predict_torch(
        prompts.get("point_coords"),
        prompts.get("point_labels"),
        prompts.get("boxes"),
        prompts.get("mask_inputs"),
        multimask_output,
        **more,
    )
    assert torch.allclose(answer["low_res_logits"], low_res, atol=1e-3)
    assert torch.allclose(answer["iou_predictions"], scores, atol=1e-4)
    assert (answer["masks"] != masks).float().mean() < 0.01


def test_the_hq_mask_alone_for_one_record_or_for_all(square):
    prompts = record(0, **POINTS)
    of_all = square([prompts], True, True)[0]["low_res_logits"]
    of_one, other = square([prompts | {"hq_token_only": True}, prompts], multimask_output=True)
    assert torch.allclose(of_one["low_res_logits"], of_all, atol=1e-3)
    assert (other["low_res_logits"] - of_all).abs().max() > 1e-3
    (kept,) = square([prompts | {"hq_token_only": False}], True, True)
    assert torch.allclose(kept["low_res_logits"], other["low_res_logits"], atol=1e-3)


def test_forward_says_what_it_has_not(square_plain):
    with pytest.raises(InputError, match="no HQ parts; load HQ-SAM weights"):
        square_plain([record(0, **POINTS)], True, True)
