import pytest
import torch

from persam_hq.errors import InputError
from persam_hq.training.batches import BatchMaker


def test_shapes_and_ranges(make_config):
    frames, masks = BatchMaker(make_config()).batch(0)
    assert frames.shape == (2, 3, 3, 64, 64)
    assert masks.shape == (2, 3, 64, 64)
    assert frames.dtype == masks.dtype == torch.float32
    assert frames.max() > 1
    assert masks.unique().tolist() == [0, 1]


def test_a_step_gives_the_same_batch_whoever_makes_it(make_config):
    config = make_config()
    one, other = BatchMaker(config), BatchMaker(config)
    one.batch(0)  # what was made before does not matter
    for step in (1, 7):
        for got, want in zip(one.batch(step), other.batch(step), strict=True):
            assert torch.equal(got, want)
    assert not torch.equal(one.batch(1)[0], one.batch(2)[0])


def test_another_seed_gives_another_batch(make_config):
    one, other = (BatchMaker(make_config(seed=seed)).batch(1)[0] for seed in (1, 2))
    assert not torch.equal(one, other)


def test_purposes_of_a_step_have_generators_of_their_own(make_config):
    maker = BatchMaker(make_config())
    assert maker.step_rng(3, purpose=0).random() != maker.step_rng(3, purpose=1).random()
    assert maker.step_rng(3, purpose=1).random() == maker.step_rng(3, purpose=1).random()


def test_the_stream_is_the_batches_in_order(make_config):
    maker = BatchMaker(make_config())
    streamed = list(maker.stream(start=2, stop=7))
    assert [step for step, _, _ in streamed] == [2, 3, 4, 5, 6]
    for step, frames, masks in streamed:
        want_frames, want_masks = maker.batch(step)
        assert torch.equal(frames, want_frames)
        assert torch.equal(masks, want_masks)
    assert list(maker.stream(start=5, stop=5)) == []


def test_each_crop_size_is_drawn(make_config):
    crops = [{"side": 32, "batch": 3, "weight": 0.5}, {"side": 64, "batch": 1, "weight": 0.5}]
    maker = BatchMaker(make_config(crops=crops))
    assert {tuple(maker.batch(step)[1].shape) for step in range(12)} == {(3, 3, 32, 32), (1, 3, 64, 64)}


@pytest.mark.parametrize("left", ["clips", "photos"])
def test_one_kind_of_source_is_enough(make_config, left):
    config = make_config(**{"photos" if left == "clips" else "clips": []})
    assert BatchMaker(config).batch(0)[0].shape == (2, 3, 3, 64, 64)


def test_an_error_of_a_source_comes_through(make_config, tmp_path):
    config = make_config(photos=[{"root": str(tmp_path / "none"), "background": True, "weight": 1.0}])
    with pytest.raises(InputError, match="no photos with label maps"):
        BatchMaker(config)


def test_sources_without_a_usable_object_end_in_an_error(make_config, monkeypatch):
    monkeypatch.setattr("persam_hq.training.batches._MOST_DRAWS", 5)
    maker = BatchMaker(make_config())
    monkeypatch.setattr(maker, "_from_source", lambda *_: None)
    with pytest.raises(InputError, match="5 training clips drawn and no object large enough"):
        maker.batch(0)
