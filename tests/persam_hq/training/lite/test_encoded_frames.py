import numpy as np
import pytest
import torch
from stand_ins.lite import FINE, GRID, KEY, MIDDLE, tiny_lite

from persam_hq.modeling.lite.image_encoder import IntermLevel
from persam_hq.modeling.lite.location_prior import PRIOR_CHANNELS
from persam_hq.training.lite.encoded_frames import decode, encode_clips, encode_stills


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
        assert frame.embedding.dtype == frame.interm[IntermLevel.KEYS].dtype == torch.float32
        with torch.no_grad():
            embedding, _, hq = model.encode(model.normalise(frames[:, index]))
        for got, alone in ((frame.embedding, embedding), (frame.hq, hq)):
            assert got.shape == alone.shape
            assert got.dtype == torch.float32
            assert (got - alone).abs().max() < 0.15 * alone.abs().max()  # bfloat16 against float32


@torch.no_grad()
def test_without_hq_parts_frames_have_no_hq_features():
    plain, frames = tiny_lite(hq=False), torch.zeros(1, 2, 3, 64, 64)
    first, _ = encode_clips(plain, frames, frames[:, :, 0])
    assert first.hq is None
    assert first.seen_by(plain, first.whole).hq is None
    assert encode_stills(plain, frames[:, 0], frames[:, :, 0]).hq is None


@torch.no_grad()
def test_a_frame_is_seen_with_its_hq_features(model, clip):
    frame = clip[1][0]
    assert frame.hq.shape == (2, FINE, 16, 16)
    seen = frame.seen_by(model, frame.whole)
    assert seen.hq.features is frame.hq
    assert torch.equal(seen.hq.windows, frame.whole)
    assert seen.hq.grid == 8 * GRID


@torch.no_grad()
def test_a_still_is_encoded_once_for_all_of_its_segments(model):
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 255, (2, 3, 64, 64))).float()
    segments = torch.zeros(2, 3, 64, 64)
    for photo in range(2):
        for index in range(3):
            segments[photo, index, : 8 * (1 + photo), : 8 * (1 + index)] = 1
    batches = []
    with model.image_encoder.register_forward_pre_hook(lambda _, given: batches.append(len(given[0]))):
        frame = encode_stills(model, images, segments)
    assert batches == [2]
    assert frame.mask.sum(dim=(1, 2)).tolist() == [64 * rows * columns for rows in (1, 2) for columns in (1, 2, 3)]
    (clips,) = encode_clips(model, images[:, None], segments[:, :1])
    for got, want in zip(
        (frame.embedding, *frame.interm, frame.hq), (clips.embedding, *clips.interm, clips.hq), strict=True
    ):
        assert len(got) == 6
        assert torch.equal(got, want[[0, 0, 0, 1, 1, 1]])


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
