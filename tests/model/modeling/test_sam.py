import numpy as np
import torch

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
