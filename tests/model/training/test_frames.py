import numpy as np
import pytest
import torch
from stand_in_lite import FINE, GRID, KEY, MIDDLE, tiny_lite

from persam_hq.modeling.location_prior import PRIOR_CHANNELS
from persam_hq.training.frames import decode, encode_clips


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


@pytest.fixture(scope="module")
def clip(model):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 3, 3, 64, 64))).float()
    masks = torch.zeros(2, 3, 64, 64)
    masks[0, :, 8:40, 16:56] = 1
    masks[1, 0, 0:4, 0:5] = 1
    with torch.no_grad():
        return frames, encode_clips(model, frames, masks)


def test_a_batch_of_clips_is_encoded_frame_by_frame(model, clip):
    frames, encoded = clip
    assert len(encoded) == 3
    for index, frame in enumerate(encoded):
        assert frame.embedding.shape == (2, 16, 4, 4)
        assert [tuple(i.shape) for i in frame.interm] == [(2, 16, 16, FINE), (2, 8, 8, MIDDLE), (2, 8, 8, KEY)]
        assert frame.embedding.dtype == frame.interm[2].dtype == torch.float32
        with torch.no_grad():
            alone, _ = model.image_encoder(model.normalise(frames[:, index]))
        assert (frame.embedding - alone).abs().max() < 0.15 * alone.abs().max()  # bfloat16 against float32


def test_what_a_frame_says_of_itself(clip):
    first, second, _ = clip[1]
    assert first.side == 64
    assert first.whole.tolist() == [[0, 0, 64, 64]] * 2
    assert first.keys.shape == (2, KEY, 8, 8)
    assert first.present.tolist() == [True, False]  # twenty pixels are too few
    assert second.present.tolist() == [True, False]
    assert repr(first) == "EncodedFrame(mask=(2, 64, 64), embedding=(2, 16, 4, 4))"


def test_the_truth_is_the_soft_share_of_each_cell(clip):
    truth = clip[1][0].truth(torch.tensor([[0.0, 0, 64, 64], [0, 0, 8, 8]]), grid=8)
    want = torch.zeros(8, 8)
    want[1:5, 2:7] = 1
    inner = torch.zeros(8, 8)
    inner[0:4, 0:5] = 1
    assert truth.shape == (2, 1, 8, 8)
    assert torch.equal(truth[0, 0] > 0.5, want > 0.5)
    assert (truth[0, 0] - want).abs().mean() < 0.1
    assert torch.allclose(truth[1, 0], inner, atol=1e-5)


@torch.no_grad()
def test_decoding_gives_float32(model, clip):
    frame = clip[1][0]
    seen = frame.seen_by(model, frame.whole)
    output = decode(model, seen, prior=torch.zeros(2, PRIOR_CHANNELS, 2 * GRID, 2 * GRID))
    for name in ("masks", "iou_predictions", "hq_masks", "presence"):
        assert getattr(output, name).dtype == torch.float32
    exact = model.decode(seen, prior=torch.zeros(2, PRIOR_CHANNELS, 2 * GRID, 2 * GRID))
    assert (output.masks - exact.masks).abs().max() < 0.1 * exact.masks.abs().max()
