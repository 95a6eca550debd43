from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_in_lite import GRID, KEY, tiny_lite

from persam_hq.modeling.location_prior import FIRST_CHANNELS, PAST_CHANNELS, RIDGE_CHANNELS
from persam_hq.training.chances import Chances
from persam_hq.training.frames import encode_clips
from persam_hq.training.scores import Scores
from persam_hq.training.tracking import Tracking
from persam_hq.training.windows import window_area

BATCH = 3


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


@pytest.fixture(scope="module")
def clip(model):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (BATCH, 3, 3, 128, 128))).float()
    masks = torch.zeros(BATCH, 3, 128, 128)
    for index in range(3):
        masks[:, index, 10 + 4 * index : 50 + 4 * index, 20:70] = 1
    masks[2, 2] = 0
    with torch.no_grad():
        return encode_clips(model, frames, masks)


def tracking(model, seed=0):
    return Tracking(model, chances=Chances(np.random.default_rng(seed), batch=BATCH), scores=Scores())


@torch.no_grad()
def test_the_first_frame_gives_a_reference_and_a_past(model, clip):
    reference, past = tracking(model).begin(clip[0])
    assert reference.first.keys.shape == (BATCH, GRID**2 + 4**2, KEY)
    assert reference.target.shape == (BATCH, 16)
    assert past.logits.shape == (BATCH, 1, 4 * GRID, 4 * GRID)
    assert past.keys.shape == (BATCH, KEY, GRID, GRID)
    # The whole of the crop is remembered too, and by area the mask is where it was given
    far = reference.first.mask[:, GRID**2 :].mean(dim=1)
    assert torch.allclose(far, clip[0].mask.mean(dim=(1, 2)), atol=0.02)
    assert torch.allclose(past.boxes, torch.tensor([20.0, 10, 70, 50]), atol=6)


@torch.no_grad()
def test_a_window_that_lost_the_object_is_replaced_by_one_that_shows_it(model, clip):
    for seed in range(5):
        follower = tracking(model, seed)
        _, past = follower.begin(clip[0])
        away = replace(past, boxes=torch.tensor([[100.0, 100, 120, 120]]).expand(BATCH, 4))
        windows = follower._next_windows(clip[1], away)
        shown = clip[1].truth(windows, grid=64).flatten(1).mean(dim=1) * window_area(windows)
        assert shown.min() > 0.6 * clip[1].mask[0].sum()


@torch.no_grad()
def test_where_the_object_is_absent_the_window_stays(model, clip):
    follower = tracking(model)
    _, past = follower.begin(clip[0])
    away = replace(past, boxes=torch.tensor([[90.0, 90, 120, 120]]).expand(BATCH, 4))
    windows = follower._next_windows(clip[2], away)
    assert windows[2, 0] > 0  # the third clip's object is gone; the first two find theirs again
    assert windows[:2, 1].max() < 18


@torch.no_grad()
def test_sources_are_left_out_as_a_whole(model):
    left_out = {"first": 0, "ridge": 0, "past": 0}
    for seed in range(60):
        prior = tracking(model, seed)._leave_out(torch.ones(BATCH, 12, 2, 2))
        assert set(prior.unique().tolist()) <= {0.0, 1.0}
        for name, channels in (("first", FIRST_CHANNELS), ("ridge", RIDGE_CHANNELS), ("past", PAST_CHANNELS)):
            kept = prior[:, channels].flatten(1).mean(dim=1)
            assert set(kept.tolist()) <= {0.0, 1.0}
            left_out[name] += int((kept == 0).sum())
    assert all(5 <= count <= 40 for count in left_out.values())


@torch.no_grad()
def test_prompts_and_guidance_come_in_every_combination(model, clip):
    prompts, guidance = set(), set()
    for seed in range(40):
        follower = tracking(model, seed)
        reference, past = follower.begin(clip[0])
        drawn = follower._prompts(clip[1], past)
        prompts.add((drawn.points is not None, drawn.boxes is not None))
        assert drawn.masks is None
        if drawn.points is not None:
            centre = (past.boxes[:, :2] + past.boxes[:, 2:]) / 2
            assert torch.allclose(drawn.points[0][:, 1], centre)
        guided = follower._guidance(clip[1].seen_by(model, clip[1].whole), reference)
        guidance.add((guided.attn_sim is not None, guided.target_embedding is not None))
    every = {(False, False), (False, True), (True, False), (True, True)}
    assert prompts == every
    assert guidance == every


def test_following_scores_and_remembers(model, clip):
    follower = tracking(model)
    reference, past = follower.begin(clip[0])
    after = follower.follow(clip[1], reference, past)
    figures = follower.scores.result(frames=2).figures
    assert {"read_first", "read_previous", "ridge", "iou_track", "iou_track_hq"} <= set(figures)
    assert not after.logits.requires_grad
    assert after.boxes.shape == (BATCH, 4)
    assert bool((after.boxes[:, :2] >= after.windows[:, :2] - 1e-3).all())
    assert bool((after.boxes[:, 2:] <= after.windows[:, 2:] + 1e-3).all())


@torch.no_grad()
def test_the_past_is_a_value(model, clip):
    follower = tracking(model)
    reference, past = follower.begin(clip[0])
    before = [past.windows.clone(), past.keys.clone(), past.logits.clone(), past.boxes.clone()]
    follower.follow(clip[1], reference, past)
    for now, then in zip((past.windows, past.keys, past.logits, past.boxes), before, strict=True):
        assert torch.equal(now, then)
    assert "Past(keys=(3, 8, 6, 6)" in repr(past)
    assert "target=(3, 16)" in repr(reference)


@torch.no_grad()
def test_the_target_is_the_mean_over_covered_cells(model, clip):
    frame = replace(clip[0], embedding=torch.zeros_like(clip[0].embedding))
    inside = F.interpolate(clip[0].mask[:, None], scale_factor=1 / 16, mode="area")
    constant = replace(frame, embedding=frame.embedding + 3.0 * torch.ones_like(inside))
    reference, _ = tracking(model).begin(constant)
    assert torch.allclose(reference.target, torch.tensor(3.0), atol=1e-4)
