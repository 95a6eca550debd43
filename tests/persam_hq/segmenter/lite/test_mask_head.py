from dataclasses import replace

import pytest
import torch
from stand_ins.lite import no_prompts, tiny_lite

from persam_hq.modeling.lite.location_prior import (
    PriorChannel,
)
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT
from persam_hq.segmenter import LiteConfig, LiteSegmenter


def test_what_is_unlike_the_object_is_hardly_there(segmenter, begun):
    features, reference, memory = begun
    located = segmenter.locate(reference, features, memory)
    unlike = replace(located, context=replace(located.context, prior=located.context.prior.clone()))
    unlike.context.prior[1, PriorChannel.FIRST_FOREGROUND] = 0.1

    def presence(*without):
        one = LiteSegmenter(segmenter.model, config=LiteConfig().without(*without))
        return one.decode(unlike, no_prompts(3), guided=True, choice="single").presence

    assert float(presence()[1]) < 1e-6
    said = segmenter.outputs(unlike, no_prompts(3), guided=True).presence
    assert torch.equal(presence("presence"), torch.sigmoid(said))


def test_of_the_decoders_masks_the_one_that_agrees_is_kept(segmenter, begun, monkeypatch):
    features, reference, memory = begun
    located = segmenter.locate(reference, features, memory)
    decode = segmenter.model.decode

    def only_the_second_is_any_good(*args, **kwargs):
        output = decode(*args, **kwargs)
        masks = torch.full_like(output.masks, -9.0)
        masks[:, 1] = 9.0
        return replace(
            output, masks=masks, iou_predictions=torch.tensor([0.2, 1.0, 0.2, 0.2]).expand(3, 4), hq_masks=None
        )

    monkeypatch.setattr(segmenter.model, "decode", only_the_second_is_any_good)
    for without, score in (((), 1.0), (("choice",), 0.2)):
        some = LiteSegmenter(segmenter.model, config=LiteConfig().without(*without))
        decoded = some.decode(located, no_prompts(3), guided=True, choice="single")
        assert decoded.prediction.scores.tolist() == pytest.approx([score] * 3)


def test_outside_of_its_window_an_object_is_background(segmenter, begun):
    features, reference, memory = begun
    located = segmenter.locate(reference, features, memory)
    decoded = segmenter.decode(located, no_prompts(3), guided=True, choice="single")
    for window, logits in zip(located.windows.tolist(), decoded.prediction.logits, strict=True):
        x0, y0, x1, y1 = window
        y, x = torch.meshgrid(torch.arange(100) + 0.5, torch.arange(150) + 0.5, indexing="ij")
        outside = (x < x0) | (x > x1) | (y < y0) | (y > y1)
        assert outside.any()
        assert bool((logits[outside] == OUTSIDE_LOGIT).all())
        assert bool((logits[~outside] != OUTSIDE_LOGIT).all())


def test_hq_draws_a_frame_and_changes_nothing_that_is_gone_on_with(scene):
    model = tiny_lite()
    with torch.no_grad():  # masks with a border
        for mlp in model.mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].bias.normal_(std=30, generator=torch.Generator().manual_seed(0))
    shown, memories = [], []
    for use_hq in (False, True):
        segmenter = LiteSegmenter(model, use_hq=use_hq)
        features = segmenter.encode(scene.frames[0])
        reference, memory = segmenter.personalize(features, scene.masks), segmenter.begin(features, scene.masks)
        located = segmenter.locate(reference, features, memory)
        decoded = segmenter.decode(located, no_prompts(len(scene.masks)), guided=True, choice="single")
        shown.append(decoded.prediction.logits)
        everyone = torch.ones(len(scene.masks), dtype=torch.bool)
        memories.append(segmenter.remember(located, decoded, everyone))
    assert not torch.equal(*shown)
    assert torch.equal(memories[0].logits, memories[1].logits)
    assert torch.equal(memories[0].boxes, memories[1].boxes)
    assert torch.equal(memories[0].velocity, memories[1].velocity)


def test_parts_that_a_refiner_takes_away_are_not_followed_with_hq(scene):
    segmenter = LiteSegmenter(tiny_lite(), use_hq=True)
    features = segmenter.encode(scene.frames[0])
    reference, memory = segmenter.personalize(features, scene.masks), segmenter.begin(features, scene.masks)
    located = segmenter.locate(reference, features, memory)
    one = torch.full((len(scene.masks), 1, *memory.logits.shape[-2:]), 5.0)
    decoded = segmenter.show(located, one, scores=torch.ones(len(one)), presence=torch.ones(len(one)))
    masks = decoded.prediction.masks.clone()
    masks[:, :, masks.shape[-1] // 2 :] = False
    refined = replace(decoded, prediction=replace(decoded.prediction, masks=masks))
    everyone = torch.ones(len(one), dtype=torch.bool)
    all_of_it, left = (segmenter.remember(located, d, everyone).boxes for d in (decoded, refined))
    assert bool((left[:, 2] <= all_of_it[:, 2]).all())
    assert bool((left[:, 2] < all_of_it[:, 2]).any())
