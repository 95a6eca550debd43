from dataclasses import replace

import pytest
import torch
from stand_ins.lite import GRID, no_prompts

from persam_hq.build.lite import build_lite
from persam_hq.segmenter import LiteConfig, LiteSegmenter
from persam_hq.segmenter.lite.windows import (
    updated_velocity,
)
from persam_hq.types import ImageFeatures, ImageGeometry


@pytest.mark.parametrize(("known", "velocity"), [(True, [6.0, 3.0]), (False, [0.0, 0.0])])
def test_the_velocity_is_a_running_mean(begun, known, velocity):
    _, _, memory = begun
    k = len(memory.boxes)
    before, boxes = torch.full((k, 2), 2.0), memory.boxes + torch.tensor([8.0, 2, 12, 6])
    found = updated_velocity(before, memory.boxes, boxes, torch.full((k,), known), LiteConfig())
    assert found.tolist() == [velocity] * k


@pytest.mark.parametrize(
    ("present", "missing", "known"),
    [(True, 0, True), (False, 0, False), (True, 2, False)],
    ids=["tracked", "not there", "back again"],
)
def test_the_velocity_is_known_of_objects_that_stay(segmenter, begun, present, missing, known):
    features, reference, memory = begun
    k = len(memory.boxes)
    before = replace(memory, velocity=torch.full((k, 2), 200.0), missing=torch.full((k,), missing))
    located = segmenter.locate(reference, features, before)
    decoded = segmenter.decode(located, no_prompts(k), guided=True, choice="single")
    after = segmenter.remember(located, decoded, torch.full((k,), present))
    assert bool((after.velocity != 0).all() if known else (after.velocity == 0).all())


def test_what_is_sure_is_learnt_from(segmenter, begun):
    features, reference, memory = begun
    located = segmenter.locate(reference, features, memory)
    decoded = segmenter.decode(located, no_prompts(3), guided=True, choice="single")
    sure = replace(decoded, presence=torch.tensor([1.0, 1.0, 0.1]), prediction=_scored(decoded.prediction, 0.9))
    after = segmenter.remember(located, sure, torch.tensor([True, False, True]))
    assert after.appearance.filled.tolist() == [1, 0, 0]

    # What was learnt is matched and classified with; each can be left out
    plain = segmenter.locate(reference, features, memory).context.prior
    learnt = segmenter.locate(reference, features, replace(memory, appearance=after.appearance)).context.prior
    assert not torch.equal(learnt[0], plain[0])
    assert torch.equal(learnt[1:], plain[1:])
    without = LiteSegmenter(segmenter.model, config=LiteConfig().without("memory-frames", "ridge-updates"))
    again = without.locate(reference, features, replace(memory, appearance=after.appearance)).context.prior
    assert torch.equal(again, plain)


def _scored(prediction, score):
    return replace(prediction, scores=torch.full_like(prediction.scores, score))


def test_the_first_memory_holds_the_masks_that_were_given(segmenter, scene):
    memory = segmenter.begin(segmenter.encode(scene.frames[0]), scene.masks)
    assert memory.boxes.tolist() == [[20, 30, 59, 65], [100, 10, 129, 39], [140, 80, 140, 80]]
    covered = (memory.logits.float() / 8 + 0.5).clamp(0, 1).sum(dim=(1, 2, 3))
    cell = (memory.windows[:, 2] - memory.windows[:, 0]) * (memory.windows[:, 3] - memory.windows[:, 1])
    areas = covered * cell / (4 * GRID) ** 2
    assert torch.allclose(areas[:2], scene.masks[:2].sum(dim=(1, 2)).float(), rtol=0.1)


def test_the_real_models_memory_is_within_the_bound():
    model = build_lite()
    features = ImageFeatures(
        image_embedding=torch.randn(1, 128, 8, 8),
        interm_embeddings=(torch.randn(1, 32, 32, 32), torch.randn(1, 16, 16, 64), torch.randn(1, 16, 16, 64)),
        geometry=ImageGeometry(original=(128, 128), input=(128, 128), padded=(128, 128)),
    )
    masks = torch.zeros(4, 128, 128, dtype=torch.bool)
    masks[:, 20:60, 30:70] = True
    memory = LiteSegmenter(model).begin(features, masks)
    assert memory.nbytes / 4 < 256 * 1024
