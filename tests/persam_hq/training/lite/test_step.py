from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins.lite import tiny_lite

from persam_hq.training.data.clip_batches import Batch
from persam_hq.training.lite.prompts import KINDS
from persam_hq.training.lite.step import LiteStep
from persam_hq.training.lite.unrolled_tracker import UnrolledTracker


def noise(*shape):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, shape)).float()


def batch(length=3, stills=1):
    masks, segments = torch.zeros(2, length, 64, 64), torch.zeros(stills, 2, 64, 64)
    masks[0, :, 10:40, 12:50] = 1
    masks[1, 0, 20:60, 5:30] = 1
    segments[:, 0, 4:40, 8:60], segments[:, 1, 20:60, 30:60] = 1, 1
    beside = torch.zeros_like(masks)
    beside[0, 1:, 44:60, 20:40] = 1
    return Batch(
        frames=noise(2, length, 3, 64, 64),
        masks=masks,
        beside=beside,
        stills=noise(stills, 3, 64, 64),
        segments=segments,
        grid=6,
    )


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


def test_every_part_of_the_model_learns(model):
    reached, prompted = set(), set()
    for seed in (0, 1, 2, 3, 5, 8):
        model.zero_grad(set_to_none=True)
        result = LiteStep(model, rng=np.random.default_rng(seed))(batch())
        torch.autograd.backward(result.loss)
        prompted |= {kind for kind in KINDS if f"iou_{kind}" in result.figures}
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert len(prompted) >= 3
    # Of the three masks only the best one is taught, so a head that never is it stays behind
    heads = {f"mask_decoder.output_hypernetworks_mlps.{index}." for index in (1, 2, 3)}
    unreached = {name for name, _ in model.named_parameters()} - reached
    assert unreached == {name for name in unreached if name.startswith(tuple(heads))}
    assert any(name.startswith(tuple(heads)) for name in reached)


def test_the_same_generator_gives_the_same_step(model):
    one, other = (LiteStep(model, rng=np.random.default_rng(3))(batch()) for _ in range(2))
    assert one.figures == other.figures
    assert torch.equal(one.loss, other.loss)
    assert one.figures != LiteStep(model, rng=np.random.default_rng(4))(batch()).figures


def test_what_is_handed_in_stays_as_it_was(model):
    given, before = batch(), batch()
    LiteStep(model, rng=np.random.default_rng(0))(given)
    for name in ("frames", "masks", "stills", "segments"):
        assert torch.equal(getattr(given, name), getattr(before, name)), name


def test_figures_are_finite_and_the_loss_is_the_first(model):
    figures = LiteStep(model, rng=np.random.default_rng(1))(batch(length=2)).figures
    assert next(iter(figures)) == "loss"
    assert all(np.isfinite(value) for value in figures.values())


@torch.no_grad()
def test_image_prompts_come_after_the_clips_and_change_nothing_of_them(model):
    given = batch()
    alone = replace(given, stills=given.stills[:0], segments=given.segments[:0])
    tracked = LiteStep(model, rng=np.random.default_rng(2))(alone)
    both = LiteStep(model, rng=np.random.default_rng(2))(given)
    prompted = {name: both.figures[name] for name in both.figures.keys() - tracked.figures.keys()}
    (kind,) = {name.split("_")[1].rstrip("+") for name in prompted}
    assert kind in KINDS
    assert set(prompted) == {f"iou_{kind}", f"iou_{kind}_hq", f"iou_{kind}+", f"iou_{kind}+_hq"}
    assert both.loss > tracked.loss
    assert {name: both.figures[name] for name in tracked.figures if name != "loss"} == {
        name: value for name, value in tracked.figures.items() if name != "loss"
    }


@torch.no_grad()
def test_each_frame_is_followed_with_what_the_frames_before_it_taught(model, monkeypatch):
    used, follow = [], UnrolledTracker.track

    def watched(self, frame, reference, past):
        used.append(reference.first.keys.shape[1])
        return follow(self, frame, reference, past)

    monkeypatch.setattr(UnrolledTracker, "track", watched)
    grown = set()
    for seed in range(6):
        used.clear()
        LiteStep(model, rng=np.random.default_rng(seed))(batch(length=4, stills=0))
        assert len(used) == 3
        assert used[0] == model.geometry.first_grid**2 + model.geometry.global_grid**2
        grown |= set(np.diff(used).tolist())
    assert grown == {0, model.geometry.recent_grid**2}
