from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins.lite import GRID, KEY, tiny_lite

from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    MASK_CHANNELS,
    PREVIOUS_CHANNELS,
    PREVIOUS_MASK_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    PriorChannel,
)
from persam_hq.modeling.lite.matching import MatchMemory
from persam_hq.modeling.lite.ridge import ridge_sums
from persam_hq.modeling.lite.window import cell_positions, resample_window
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import encode_clips
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.unrolled_tracker import TrainingMemory, UnrolledTracker, _corrected
from persam_hq.training.lite.window_jitter import window_area
from persam_hq.types import DecoderOutput

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


def new_losses():
    return StepLosses(np.random.default_rng(0))


def tracking(model, seed=0):
    return UnrolledTracker(model, chances=StepRng(np.random.default_rng(seed), batch=BATCH), losses=new_losses())


@torch.no_grad()
def test_the_first_frame_gives_a_reference_and_a_past(model, clip):
    reference, past = tracking(model).begin(clip[0])
    assert reference.first.keys.shape == (BATCH, GRID**2 + 4**2, KEY)
    assert reference.targets.shape == (BATCH, 16)
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
        for name, channels in (("first", FIRST_CHANNELS), ("ridge", RIDGE_CHANNELS), ("past", PREVIOUS_CHANNELS)):
            kept = prior[:, channels].flatten(1).mean(dim=1)
            assert set(kept.tolist()) <= {0.0, 1.0}
            left_out[name] += int((kept == 0).sum())
    assert all(5 <= count <= 40 for count in left_out.values())


def test_patches_of_what_the_sources_say_are_spoilt_in_some_clips(model):
    prior = torch.rand(BATCH, PRIOR_CHANNELS, 2 * GRID, 2 * GRID) * 0.5
    kept, claims, alike = prior.clone(), set(), 0
    for seed in range(40):
        spoilt = tracking(model, seed)._spoil(prior)
        changed = spoilt != prior
        claims |= set(spoilt[changed].unique().tolist())
        alike += int(not changed.any())
        # The similarities and the flags are as they were; the sub-cells of the mask go together
        spared = set(PriorChannel) - {channel for source in MASK_CHANNELS for channel in source}
        assert not changed[:, sorted(spared)].any()
        assert torch.equal(
            changed[:, PriorChannel.PREVIOUS_READ_OUT, None].expand(-1, 4, -1, -1), changed[:, PREVIOUS_MASK_CHANNELS]
        )
    assert claims == {-1.0, 1.0}
    assert 0 < alike < 40
    assert torch.equal(prior, kept)


def test_no_prior_is_spoilt_where_none_is_to_be(model):
    prior = torch.rand(BATCH, PRIOR_CHANNELS, 2 * GRID, 2 * GRID) * 0.5
    for seed in range(5):
        chances = StepRng(np.random.default_rng(seed), batch=BATCH)
        careful = UnrolledTracker(model, chances=chances, losses=new_losses(), spoilt=0.0)
        assert torch.equal(careful._spoil(prior), prior)


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
    after = follower.track(clip[1], reference, past)
    figures = follower.losses.result(frames=2).figures
    assert {"read_first", "read_previous", "ridge", "iou_track", "iou_track_hq"} <= set(figures)
    # What is handed on has the grid of a mask prompt, not the finer one of the HQ mask
    assert after.logits.shape == past.logits.shape == (BATCH, 1, 4 * GRID, 4 * GRID)
    assert not after.logits.requires_grad
    assert after.boxes.shape == (BATCH, 4)
    assert bool((after.boxes[:, :2] >= after.windows[:, :2] - 1e-3).all())
    assert bool((after.boxes[:, 2:] <= after.windows[:, 2:] + 1e-3).all())


class Learning(StepRng):
    """Learns from every frame, or from none."""

    def __init__(self, *, learns):
        super().__init__(np.random.default_rng(0), batch=BATCH)
        self.learns = learns

    def once(self, probability):
        del probability
        return self.learns


def learner(model, *, learns=True):
    return UnrolledTracker(model, chances=Learning(learns=learns), losses=new_losses())


def result_on(frame, windows, *, shift=0):
    """A past as a faultless tracker leaves it on `frame`, or one that is `shift` pixels beside the object."""
    mask = torch.roll(frame.mask, shift, dims=2)[:, None]
    logits = 8 * resample_window(mask, windows, grid=4 * GRID, stride=1) - 4
    keys = torch.zeros(BATCH, KEY, GRID, GRID)
    return TrainingMemory(windows=windows, keys=keys, logits=logits, boxes=windows)


@torch.no_grad()
def test_what_was_found_well_becomes_an_example_in_some_steps(model, clip):
    reference, _ = tracking(model).begin(clip[0])
    past = result_on(clip[1], clip[1].whole)
    assert learner(model, learns=False).learn(clip[1], reference, past) is reference
    learned = learner(model).learn(clip[1], reference, past)

    cells = model.geometry.recent_grid**2
    assert learned.first.keys.shape[1] == reference.first.keys.shape[1] + cells
    assert torch.equal(learned.first.keys[:, :-cells], reference.first.keys)
    assert torch.equal(learned.first.mask[:, :-cells], reference.first.mask)
    assert torch.allclose(learned.first.keys[:, -cells:].norm(dim=-1), torch.ones(()), atol=1e-5)
    assert torch.equal(
        learned.first.positions[:, -cells:], cell_positions(past.windows, grid=model.geometry.recent_grid)
    )
    want = F.adaptive_avg_pool2d(torch.sigmoid(past.logits), model.geometry.recent_grid).flatten(1)
    assert torch.allclose(learned.first.mask[:, -cells:], want, atol=1e-5)
    assert torch.equal(learned.targets, reference.targets)
    assert not torch.allclose(learned.ridge.gram, reference.ridge.gram)


@pytest.mark.parametrize(
    ("index", "shift", "rows"),
    [
        pytest.param(1, 0, [True, True, True], id="found"),
        pytest.param(1, 10, [True, True, True], id="found roughly"),
        pytest.param(1, 40, [False, False, False], id="beside it"),
        pytest.param(2, 0, [True, True, False], id="the third is gone"),
    ],
)
@torch.no_grad()
def test_what_was_not_found_is_no_example(model, clip, index, shift, rows):
    reference, _ = tracking(model).begin(clip[0])
    frame = clip[index]
    learned = learner(model).learn(frame, reference, result_on(frame, frame.whole, shift=shift))
    added = learned.first.keys[:, -(model.geometry.recent_grid**2) :]
    assert (added.abs().amax(dim=(1, 2)) > 0).tolist() == rows
    for name in ("gram", "moment"):
        before, after = getattr(reference.ridge, name), getattr(learned.ridge, name)
        assert [not torch.equal(before[row], after[row]) for row in range(BATCH)] == rows


@torch.no_grad()
def test_an_example_counts_for_less_than_the_first_frame(model, clip):
    reference, _ = tracking(model).begin(clip[0])
    past = result_on(clip[1], clip[1].whole)
    learned = learner(model).learn(clip[1], reference, past)
    cells = model.geometry.recent_grid**2
    memory = MatchMemory(*(getattr(learned.first, name)[:, -cells:] for name in ("keys", "mask", "positions")))
    # The bias counts each class once, so its entry of the Gram matrix tells the weight
    weight = (learned.ridge.gram - reference.ridge.gram)[:, -1, -1] / ridge_sums(memory).gram[:, -1, -1]
    assert bool(((weight >= 0.1) & (weight <= 0.6)).all())
    assert len(set(weight.tolist())) == BATCH
    again = reference.extended(examples=memory, sums=ridge_sums(memory), weight=weight)
    assert torch.allclose(again.ridge.gram, learned.ridge.gram, atol=1e-5)
    assert torch.allclose(again.ridge.moment, learned.ridge.moment, atol=1e-5)
    assert torch.equal(again.first.keys, learned.first.keys)


@torch.no_grad()
def test_what_was_learned_is_used_on_the_next_frame(model, clip):
    reference, past = tracking(model).begin(clip[0])
    learned = learner(model).learn(clip[1], reference, result_on(clip[1], clip[1].whole))
    seen = clip[2].seen_by(model, clip[2].whole)
    without, with_it = (tracking(model)._prior(seen, clip[2], given, past) for given in (reference, learned))
    changed = (without - with_it).abs().flatten(2).amax(dim=(0, 2)) > 1e-6
    assert set(changed.nonzero().flatten().tolist()) == {
        PriorChannel.FIRST_READ_OUT,
        PriorChannel.FIRST_FOREGROUND,
        PriorChannel.FIRST_BACKGROUND,
        PriorChannel.RIDGE_SCORE,
    }


@pytest.mark.parametrize("hq", [True, False])
def test_a_result_is_the_single_mask_with_hq_along_its_border_on_the_grid_of_the_mask_prompts(hq):
    masks = torch.full((2, 4, 16, 16), -5.0)
    masks[:, 0, :, :8] = 5.0
    checks = torch.tensor([[1.0, -1.0], [-1.0, 3.0]]).repeat(16, 16).expand(2, 1, 32, 32)
    output = DecoderOutput(masks=masks, iou_predictions=torch.zeros(2, 4), hq_masks=checks if hq else None)
    difference = _corrected(output)[:, 0] - masks[:, 0]
    assert torch.equal(difference[..., :4], torch.zeros(2, 16, 4))
    assert torch.allclose(difference[..., 5:7], torch.full((2, 16, 2), 0.5 if hq else 0.0))


@torch.no_grad()
def test_the_past_is_a_value(model, clip):
    follower = tracking(model)
    reference, past = follower.begin(clip[0])
    before = [past.windows.clone(), past.keys.clone(), past.logits.clone(), past.boxes.clone()]
    follower.track(clip[1], reference, past)
    for now, then in zip((past.windows, past.keys, past.logits, past.boxes), before, strict=True):
        assert torch.equal(now, then)
    assert "TrainingMemory(keys=(3, 8, 6, 6)" in repr(past)
    assert "targets=(3, 16)" in repr(reference)


@torch.no_grad()
def test_the_target_is_the_mean_over_covered_cells(model, clip):
    frame = replace(clip[0], embedding=torch.zeros_like(clip[0].embedding))
    inside = F.interpolate(clip[0].mask[:, None], scale_factor=1 / 16, mode="area")
    constant = replace(frame, embedding=frame.embedding + 3.0 * torch.ones_like(inside))
    reference, _ = tracking(model).begin(constant)
    assert torch.allclose(reference.targets, torch.tensor(3.0), atol=1e-4)
