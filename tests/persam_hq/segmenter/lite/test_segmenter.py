from dataclasses import replace
from types import SimpleNamespace

import torch
from stand_ins.lite import no_prompts, tiny_lite

from persam_hq.modeling.lite.image_encoder import IntermLevel
from persam_hq.modeling.lite.location_prior import (
    PREVIOUS_CHANNELS,
)
from persam_hq.segmenter import LiteConfig, LiteSegmenter
from persam_hq.segmenter.lite.windows import (
    whole_windows,
)


def _over_the_window(decoded, row, columns):
    """`decoded` with a mask over some columns of one object's window, nothing elsewhere."""
    low_res = torch.full_like(decoded.prediction.low_res_logits, -9.0)
    low_res[row, 10:20, columns] = 9.0
    masks = torch.zeros_like(decoded.prediction.masks)
    masks[row, 5:25, 15:35] = True
    return replace(decoded, prediction=replace(decoded.prediction, low_res_logits=low_res, masks=masks))


def test_a_mask_that_its_window_cuts_off_is_looked_at_again_around_it(segmenter, begun):
    features, reference, memory = begun
    segmenter = LiteSegmenter(segmenter.model, use_hq=False)
    memory = replace(memory, velocity=torch.ones(3, 2))
    located = segmenter.locate(reference, features, memory)
    located = replace(located, windows=torch.tensor([[20.0, 8, 40, 28]]).repeat(3, 1))
    decoded = segmenter.decode(located, no_prompts(3), guided=True, choice="single")
    there = torch.tensor([True, True, False])

    def recentred(row, columns, *, memory=memory, segmenter=segmenter):
        seen = replace(located, memory=memory)
        return segmenter.localizer.second_look(seen, _over_the_window(decoded, row, columns), there)

    for columns in (slice(0, 5), slice(-2, None)):
        after = recentred(1, columns)
        assert after.boxes[1].tolist() == [15, 5, 34, 24]
        assert after.velocity.tolist() == [[1, 1], [0, 0], [1, 1]]
        assert torch.equal(after.boxes[[0, 2]], memory.boxes[[0, 2]])
        assert torch.equal(after.logits, memory.logits)
    assert recentred(1, slice(2, -2)) is None
    assert recentred(2, slice(0, 5)) is None, "an object that is not there has no window to move"
    lost = replace(memory, missing=torch.tensor([0, 1, 0]))
    assert recentred(1, slice(0, 5), memory=lost) is None, "it is searched for over the whole frame anyway"
    without = LiteSegmenter(segmenter.model, config=LiteConfig().without("second-look"))
    assert recentred(1, slice(0, 5), segmenter=without) is None


class Judge:
    """Decodes what it is shown, and keeps it; `edge` puts a mask at the edge of one object's window at first."""

    def __init__(self, segmenter, *, edge=False):
        self.segmenter, self.edge = segmenter, edge
        self.shown = []

    def __call__(self, located):
        decoded = self.segmenter.decode(located, no_prompts(3), guided=True, choice="single")
        if self.edge and not self.shown:
            decoded = _over_the_window(decoded, 1, slice(0, 5))
        self.shown.append(located)
        present = torch.tensor([False, True, False])
        return SimpleNamespace(decoded=decoded, present=present, located=located)


def test_a_frame_is_looked_at_once_unless_a_window_cuts_an_object_off(segmenter, begun):
    features, reference, memory = begun
    # A window inside of the image, whose edges are none of the image's
    memory = replace(memory, boxes=torch.tensor([[60.0, 40, 70, 50]]).repeat(3, 1))
    small = LiteSegmenter(segmenter.model, config=LiteConfig(min_side=20.0), use_hq=False)

    twice = Judge(small, edge=True)
    look = small.look(reference, features, memory, twice)
    first, second = twice.shown
    assert look.located is second
    assert not torch.equal(first.windows[1], second.windows[1])
    assert torch.equal(first.windows[[0, 2]], second.windows[[0, 2]])
    assert first.memory is second.memory is memory, "both remember what was known before the frame"

    without = LiteSegmenter(segmenter.model, config=replace(small.config, second_look=False), use_hq=False)
    single = Judge(without, edge=True)
    without.look(reference, features, memory, single)
    assert len(single.shown) == 1
    alone = Judge(small, edge=True)
    small.look(reference, features, None, alone)
    assert len(alone.shown) == 1, "without a memory there is nothing to look again with"


def test_a_look_after_a_cut_searches_for_the_objects(segmenter, begun):
    features, reference, memory = begun
    fine, middle, keys = features.interm_embeddings
    elsewhere = replace(features, interm_embeddings=(fine, middle, -keys))
    look = segmenter.look(reference, elsewhere, memory, Judge(segmenter))
    assert look.located.memory.missing.tolist() == [1, 1, 1]
    assert look.located.context.prior[:, PREVIOUS_CHANNELS].abs().max() == 0


def test_another_function_may_stand_in_for_locate(segmenter, begun):
    features, reference, memory = begun
    asked = []

    def locate(*question):
        asked.append(question)
        return segmenter.locate(*question)

    look = segmenter.look(reference, features, memory, Judge(segmenter), locate=locate)
    assert asked[0] == (reference, features, memory)
    assert look.located.memory is memory


def test_the_target_is_the_mean_over_the_cells_that_the_mask_covers(segmenter, scene):
    features = segmenter.encode(scene.frames[0])
    everything = torch.ones(1, *scene.size, dtype=torch.bool)
    reference = segmenter.personalize(features, everything)
    seen = segmenter.model.through_windows(
        features.image_embedding, features.interm_embeddings, whole_windows(features.geometry, 1)
    )
    assert torch.allclose(reference.targets[0], seen.embedding[0].mean(dim=(1, 2)), atol=1e-4)
    published = LiteSegmenter(segmenter.model, config=LiteConfig.published()).personalize(features, everything)
    want = (seen.embedding[0].mean(dim=(1, 2)) + seen.embedding[0].amax(dim=(1, 2))) / 2
    assert torch.allclose(published.targets[0], want, atol=1e-4)


def test_the_encoder_alone_runs_in_the_dtype_asked_for(scene):
    segmenter = LiteSegmenter(tiny_lite(), dtype=torch.bfloat16)
    features = segmenter.encode(scene.frames[0])
    exact = LiteSegmenter(segmenter.model).encode(scene.frames[0])
    assert features.interm_embeddings[IntermLevel.KEYS].dtype == torch.bfloat16
    difference = (features.image_embedding - exact.image_embedding).abs().max()
    assert 0 < difference < 0.1
    reference, memory = segmenter.personalize(features, scene.masks), segmenter.begin(features, scene.masks)
    decoded = segmenter.decode(segmenter.locate(reference, features, memory), no_prompts(3), guided=True, choice="best")
    assert decoded.prediction.logits.dtype == torch.float32
    assert torch.isfinite(decoded.prediction.logits).all()


def test_features_encoded_for_somebody_else_give_the_same_masks(scene):
    model = tiny_lite()
    plain, hq = LiteSegmenter(model, use_hq=False), LiteSegmenter(model, use_hq=True)
    own, others = plain.encode(scene.frames[0]), hq.encode(scene.frames[0])
    assert own.hq_features is None
    assert others.hq_features is not None

    decoded = []
    for features in (own, others):
        reference, memory = plain.personalize(features, scene.masks), plain.begin(features, scene.masks)
        located = plain.locate(reference, features, memory)
        decoded.append(plain.decode(located, no_prompts(len(scene.masks)), guided=True, choice="single"))
    assert torch.equal(decoded[0].prediction.logits, decoded[1].prediction.logits)

    # Everywhere, as these masks may have no border for HQ to correct
    everywhere = LiteSegmenter(model, config=LiteConfig().without("hq-agreement"), use_hq=True)
    with_hq = everywhere.decode(located, no_prompts(len(scene.masks)), guided=True, choice="single")
    assert not torch.equal(decoded[1].prediction.logits, with_hq.prediction.logits)
