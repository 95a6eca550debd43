import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins.lite import tiny_lite

from persam_hq.training.data.clip_batches import BatchMaker
from persam_hq.training.lite.validation import TRUTH, validate_clips
from persam_hq.training.validation_picture import GAP, TILE


@pytest.fixture
def batch(make_config):
    return BatchMaker(make_config()).batch(0)


def test_a_row_a_clip_and_a_tile_a_frame(batch):
    validation = validate_clips(tiny_lite(), batch, seed=1)
    clips, frames, *_ = batch.frames.shape
    assert validation.picture.shape == (clips * (TILE + GAP), frames * (TILE + GAP), 3)
    assert validation.picture.dtype == np.uint8
    assert 0 <= validation.figures["iou_validation"] <= 1
    tile = validation.picture[:TILE, :TILE].astype(int)
    assert (np.abs(tile - np.array(TRUTH)).sum(axis=2) < 60).any()


def test_the_same_weights_give_the_same_picture_and_stay_as_they_are(batch):
    model = tiny_lite()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (validate_clips(model, batch, seed=1) for _ in range(2))
    assert np.array_equal(one.picture, other.picture)
    assert one.figures == other.figures
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_leaves_a_picture_an_epoch(make_config, tiny_training, tmp_path):
    tiny_training(make_config(steps=3, epoch_steps=2), tmp_path / "run", report=lambda _: None).run()
    pictures = sorted(path.name for path in (tmp_path / "run" / "validation").iterdir())
    assert pictures == ["epoch-0001.jpg"]
    with Image.open(tmp_path / "run" / "validation" / "epoch-0001.jpg") as picture:
        assert picture.size == (3 * (TILE + GAP), 2 * (TILE + GAP))
