import pytest
import torch

from persam_hq.errors import InputError
from persam_hq.training.data.clip_batches import BatchMaker

FIELDS = ("frames", "masks", "beside", "stills", "segments")


def same(one, other):
    return [name for name in FIELDS if torch.equal(getattr(one, name), getattr(other, name))]


def test_shapes_and_ranges(make_config):
    batch = BatchMaker(make_config(stills={"side": 96, "batch": 3})).batch(0)
    assert batch.frames.shape == (2, 3, 3, 64, 64)
    assert batch.masks.shape == (2, 3, 64, 64)
    assert batch.stills.shape == (3, 3, 96, 96)
    assert batch.segments.shape == (3, 2, 96, 96)
    for name in FIELDS:
        assert getattr(batch, name).dtype == torch.float32
    for colours in (batch.frames, batch.stills):
        assert 1 < colours.max() <= 255
        assert colours.min() >= 0
    for masks in (batch.masks, batch.segments):
        assert masks.unique().tolist() == [0, 1]
    assert batch.beside.shape == batch.masks.shape
    assert not (batch.beside * batch.masks).any()
    assert batch.grid == 24
    assert repr(batch) == "Batch(frames=(2, 3, 3, 64, 64), stills=(3, 3, 96, 96))"


def test_colours_are_red_green_blue(make_config):
    # The square of the clip is red whatever the recolouring
    batch = BatchMaker(make_config(photos=[], stills=None)).batch(0)
    excess = batch.frames[:, :, 0] - batch.frames[:, :, 1:].mean(dim=2)
    assert excess[batch.masks > 0.5].mean() > excess[batch.masks < 0.5].mean() + 40


def test_a_step_gives_the_same_batch_whoever_makes_it(make_config):
    config = make_config()
    one, other = BatchMaker(config), BatchMaker(config)
    one.batch(0)  # what was made before does not matter
    for step in (1, 7):
        assert same(one.batch(step), other.batch(step)) == list(FIELDS)
    assert same(one.batch(1), one.batch(2)) == []


def test_another_seed_gives_another_batch(make_config):
    assert same(*(BatchMaker(make_config(seed=seed)).batch(1) for seed in (1, 2))) == []


def test_purposes_of_a_step_have_generators_of_their_own(make_config):
    maker = BatchMaker(make_config())
    assert maker.step_rng(3, purpose=0).random() != maker.step_rng(3, purpose=1).random()
    assert maker.step_rng(3, purpose=1).random() == maker.step_rng(3, purpose=1).random()


def test_the_stream_is_the_batches_in_order(make_config):
    maker = BatchMaker(make_config())
    streamed = list(maker.stream(start=2, stop=7))
    assert [step for step, _ in streamed] == [2, 3, 4, 5, 6]
    for step, batch in streamed:
        assert same(batch, maker.batch(step)) == list(FIELDS)
    assert list(maker.stream(start=5, stop=5)) == []


def test_each_crop_size_is_drawn_with_its_own_length(make_config):
    crops = [{"side": 32, "batch": 3, "length": 2, "weight": 0.5}, {"side": 64, "batch": 1, "length": 5, "weight": 0.5}]
    maker = BatchMaker(make_config(crops=crops))
    drawn = [maker.batch(step) for step in range(12)]
    assert {tuple(batch.masks.shape) for batch in drawn} == {(3, 2, 32, 32), (1, 5, 64, 64)}
    assert all(batch.frames.shape == (*batch.masks.shape[:2], 3, *batch.masks.shape[2:]) for batch in drawn)
    assert {tuple(batch.stills.shape) for batch in drawn} == {(1, 3, 64, 64)}


@pytest.mark.parametrize(("left", "stills"), [("clips", 0), ("photos", 1)])
def test_one_kind_of_source_is_enough(make_config, left, stills):
    config = make_config(absent=0.9, **{"photos" if left == "clips" else "clips": []})
    batch = BatchMaker(config).batch(0)
    assert batch.frames.shape == (2, 3, 3, 64, 64)
    assert len(batch.stills) == len(batch.segments) == stills  # only photos have two segments


def test_no_stills_are_made_where_none_are_wanted(make_config):
    batch = BatchMaker(make_config(stills=None)).batch(0)
    assert batch.stills.shape[:2] == (0, 3)
    assert batch.segments.shape[:2] == (0, 2)
    assert batch.stills.shape[2:] == batch.segments.shape[2:]


@pytest.mark.parametrize("step", range(4))
def test_an_absent_object_is_gone_for_one_frame_and_nothing_else_changes(make_config, step):
    # Who hides is decided when all clips are drawn, so the clips are the same
    kept, hidden = (BatchMaker(make_config(absent=share)).batch(step) for share in (0.0, 1 - 1e-9))
    changed = (kept.frames != hidden.frames).flatten(2).any(dim=2)
    assert changed.sum(dim=1).tolist() == [1, 1]
    assert not changed[:, 0].any()
    assert hidden.masks[changed].abs().max() == 0
    assert torch.equal(hidden.masks[~changed], kept.masks[~changed])
    # All of the frame is another one, not only the place of the object
    assert (kept.frames != hidden.frames)[changed].float().mean() > 0.5


def test_the_share_of_the_clips_that_hide(make_config):
    crops = [{"side": 32, "batch": 8, "length": 2, "weight": 1.0}]
    kept, hidden = (BatchMaker(make_config(absent=share, crops=crops, stills=None)) for share in (0.0, 0.3))
    changed = [(kept.batch(k).frames != hidden.batch(k).frames).flatten(1).any(dim=1) for k in range(15)]
    assert torch.cat(changed).float().mean() == pytest.approx(0.3, abs=0.12)


def test_without_photos_nothing_hides(make_config):
    kept, hidden = (BatchMaker(make_config(absent=share, photos=[])).batch(0) for share in (0.0, 0.99))
    assert same(kept, hidden) == list(FIELDS)


def test_an_error_of_a_source_comes_through(make_config, tmp_path):
    config = make_config(photos=[{"root": str(tmp_path / "none"), "background": True, "weight": 1.0}])
    with pytest.raises(InputError, match="no photos with label maps"):
        BatchMaker(config)


@pytest.mark.parametrize("draw", ["_from_source", "_still"])
def test_sources_without_a_usable_object_end_in_an_error(make_config, monkeypatch, draw):
    monkeypatch.setattr("persam_hq.training.data.clip_batches._MAX_DRAWS", 5)
    maker = BatchMaker(make_config())
    monkeypatch.setattr(maker, draw, lambda *_: None)
    with pytest.raises(InputError, match="5 training clips drawn and no object large enough"):
        maker.batch(0)


@pytest.mark.parametrize("draw", ["_from_source", "_still"])
def test_what_shows_no_object_is_drawn_again(make_config, monkeypatch, draw):
    maker, asked = BatchMaker(make_config()), []
    usual = getattr(maker, draw)

    def at_times(*given):
        asked.append(given)
        return usual(*given) if len(asked) % 3 == 0 else None

    monkeypatch.setattr(maker, draw, at_times)
    batch = maker.batch(0)
    assert batch.frames.shape[0] == 2
    assert len(asked) >= 3
    assert bool((batch.masks[:, 0].sum(dim=(1, 2)) > 0).all())
