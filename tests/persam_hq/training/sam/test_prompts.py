import numpy as np
import pytest
import torch
from stand_ins.training import sam_config

from persam_hq.training.data.rng import RowRng
from persam_hq.training.sam.encoded_views import EncodedViews, Personalization
from persam_hq.training.sam.prompts import KINDS, StepPlan, draw_plan, draw_prompts, guidance_of
from persam_hq.types import ImageGeometry

SIDE = 64


def rng(step=0):
    return RowRng(seed=0, step=step, rows=range(2), purpose=1)


@pytest.fixture
def views():
    """Two wide images, an object of 20 by 30 pixels in each."""
    masks = torch.zeros(2, SIDE, SIDE)
    masks[0, 5:25, 10:40], masks[1, 15:35, 30:60] = 1, 1
    geometry = ImageGeometry(original=(40, SIDE), input=(40, SIDE), padded=(SIDE, SIDE))
    return EncodedViews(
        embedding=torch.zeros(2, 8, 4, 4), early=torch.zeros(2, 4, 4, 8), masks=masks, geometries=(geometry, geometry)
    )


@pytest.fixture
def found():
    return Personalization(
        points=torch.tensor([[[20.0, 10], [1, 1]], [[40, 20], [2, 2]]]),
        attn_sim=torch.rand(2, 1, 1, 16),
        target_embedding=torch.rand(2, 1, 8),
    )


def on_object(views, points):
    return [
        [bool(mask[int(y), int(x)]) for x, y in row] for mask, row in zip(views.masks, points.tolist(), strict=True)
    ]


def test_points_lie_on_the_object_and_negative_ones_beside_it_but_in_the_image(views):
    point = draw_prompts("point", views, rng(), found=None, side=16)
    assert on_object(views, point.points[0]) == [[True]] * 2
    assert point.points[1].tolist() == [[1.0]] * 2
    for step in range(20):
        points, labels = draw_prompts("points", views, rng(step), found=None, side=16).points
        assert on_object(views, points) == [[True, True, False]] * 2
        assert labels.tolist() == [[1.0, 1.0, 0.0]] * 2
        assert points[..., 1].max() < 40


def test_boxes_and_masks_are_near_the_true_ones(views):
    boxes = draw_prompts("box", views, rng(), found=None, side=16).boxes
    assert (boxes - torch.tensor([[10.0, 5, 40, 25], [30, 15, 60, 35]])).abs().max() <= 0.06 * 30
    masks = draw_prompts("mask", views, rng(), found=None, side=64).masks
    assert masks.shape == (2, 1, 64, 64)
    overlap = ((masks[:, 0] > 0) & (views.masks > 0)).sum() / ((masks[:, 0] > 0) | (views.masks > 0)).sum()
    assert overlap > 0.4


def test_persams_points_are_the_prior_s(views, found):
    prompts = draw_prompts("prior", views, rng(), found=found, side=16)
    assert prompts.points[0] is found.points
    assert prompts.points[1].tolist() == [[1.0, 0.0]] * 2


def test_guidance_is_what_the_plan_asks_for(found):
    plan = StepPlan(kind="box", guided_attention=True, target_embedding=False, second_pass=False)
    assert guidance_of(plan, found).attn_sim is found.attn_sim
    assert guidance_of(plan, found).target_embedding is None
    assert guidance_of(plan, None).attn_sim is None
    assert plan.needs_reference


def test_plans_follow_their_probabilities():
    config = sam_config(prompts={"box": 3, "prior": 1}, guided_attention=0.0, target_embedding=1.0, second_pass=0.5)
    plans = [draw_plan(config, rng(step)) for step in range(200)]
    assert {plan.kind for plan in plans} == {"box", "prior"}
    assert all(plan.target_embedding for plan in plans)
    assert all(plan.guided_attention == (plan.kind == "prior") for plan in plans)
    assert 0.6 < np.mean([plan.kind == "box" for plan in plans]) < 0.9
    assert 0.35 < np.mean([plan.second_pass for plan in plans]) < 0.65


def test_only_one_point_is_ambiguous():
    plans = [StepPlan(kind=kind, guided_attention=False, target_embedding=False, second_pass=False) for kind in KINDS]
    assert [plan.kind for plan in plans if plan.ambiguous] == ["point"]
    assert [plan.kind for plan in plans if plan.needs_reference] == ["prior"]
