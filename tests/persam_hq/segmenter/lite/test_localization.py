from dataclasses import replace

import pytest
import torch
from stand_ins.lite import GRID, tiny_lite

from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    PREVIOUS_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    PriorChannel,
)
from persam_hq.segmenter import LiteConfig, LiteSegmenter
from persam_hq.segmenter.lite.windows import (
    whole_windows,
)


def test_windows_lie_around_the_last_boxes(segmenter, begun):
    features, reference, memory = begun
    located = segmenter.locate(reference, features, memory)
    centres = (located.windows[:, :2] + located.windows[:, 2:]) / 2
    inside = (centres[0] - torch.tensor([40.0, 48.0])).abs()
    assert inside.max() <= 10
    moved = replace(memory, boxes=memory.boxes + torch.tensor([[0.0], [40.0], [0.0]]) * torch.tensor([-1.0, 1, -1, 1]))
    again = segmenter.locate(reference, features, moved)
    assert torch.equal(again.windows[[0, 2]], located.windows[[0, 2]])
    assert not torch.equal(again.windows[1], located.windows[1])


def test_a_missing_object_is_searched_for_and_its_past_forgotten(segmenter, begun):
    features, reference, memory = begun
    missing = replace(memory, missing=torch.tensor([0, 3, 0]))
    located = segmenter.locate(reference, features, missing)
    searched = segmenter.locate(reference, features, None)
    assert torch.equal(located.windows[1], searched.windows[1])

    # What was known of its place and mask plays no part any more
    elsewhere = replace(missing, boxes=missing.boxes.clone(), logits=missing.logits.clone())
    elsewhere.boxes[1] = torch.tensor([0.0, 0, 9, 9])
    elsewhere.logits[1] = 5
    again = segmenter.locate(reference, features, elsewhere)
    assert torch.equal(again.windows, located.windows)
    assert torch.equal(again.context.prior, located.context.prior)

    prior = located.context.prior
    assert prior[1, PREVIOUS_CHANNELS].abs().max() == 0
    assert bool((prior[[0, 2]][:, PREVIOUS_CHANNELS].flatten(2).abs().amax(dim=2) > 0).all())
    assert bool((prior[:, PriorChannel.FIRST_KNOWN] == 1).all())


def test_a_search_that_finds_nothing_looks_at_the_whole_frame(segmenter, begun, monkeypatch):
    features, reference, _ = begun
    decode = segmenter.model.decode

    def finds_nothing(*args, **kwargs):
        output = decode(*args, **kwargs)
        return replace(output, masks=torch.full_like(output.masks, -9.0), hq_masks=None)

    monkeypatch.setattr(segmenter.model, "decode", finds_nothing)
    located = segmenter.locate(reference, features, None)
    assert torch.equal(located.windows, whole_windows(features.geometry, 3))


def test_windows_go_where_the_object_is_heading(segmenter, begun):
    features, reference, memory = begun
    heading = replace(memory, velocity=torch.tensor([[10.0, -5], [900, 0], [0, 0]]))
    still, moved = (segmenter.locate(reference, features, m).windows for m in (memory, heading))
    assert (moved - still)[0].tolist() == pytest.approx([20, -10, 20, -10]) or not torch.equal(moved[0], still[0])
    assert torch.equal(moved[2], still[2])
    without = LiteSegmenter(segmenter.model, config=LiteConfig().without("motion"))
    assert torch.equal(without.locate(reference, features, heading).windows, still)


def test_after_a_cut_objects_are_missing(segmenter, begun):
    features, reference, memory = begun
    fine, middle, keys = features.interm_embeddings
    elsewhere = replace(features, interm_embeddings=(fine, middle, -keys))
    assert segmenter.localizer.after_cut(features, memory) is memory
    without = LiteSegmenter(segmenter.model, config=LiteConfig().without("search"))
    assert without.localizer.after_cut(elsewhere, memory) is memory
    memory = replace(memory, missing=torch.tensor([0, 4, 0]))
    cut = segmenter.localizer.after_cut(elsewhere, memory)
    assert cut.missing.tolist() == [1, 4, 1]
    # so that they are searched for, and the past says nothing
    located = segmenter.locate(reference, elsewhere, cut)
    assert located.context.prior[:, PREVIOUS_CHANNELS].abs().max() == 0


@pytest.mark.parametrize(
    ("part", "channels"),
    [("first-matching", FIRST_CHANNELS), ("ridge", RIDGE_CHANNELS), ("previous-frame", PREVIOUS_CHANNELS)],
)
def test_a_source_that_is_left_out_is_not_in_the_prior(segmenter, begun, part, channels):
    features, reference, memory = begun
    full = segmenter.locate(reference, features, memory).context.prior
    prior = (
        LiteSegmenter(segmenter.model, config=LiteConfig().without(part))
        .locate(reference, features, memory)
        .context.prior
    )
    others = [c for c in range(PRIOR_CHANNELS) if c not in channels]
    assert full[:, channels].abs().max() > 0
    assert prior[:, channels].abs().max() == 0
    assert torch.equal(prior[:, others], full[:, others])


def test_without_a_search_a_lost_object_is_waited_for_where_it_was(segmenter, begun):
    features, reference, memory = begun
    missing = replace(memory, missing=torch.tensor([0, 3, 0]))
    without = LiteSegmenter(segmenter.model, config=LiteConfig().without("search"))
    assert torch.equal(
        without.locate(reference, features, missing).windows, segmenter.locate(reference, features, memory).windows
    )


def test_published_means_whole_frames_and_no_dense_prior(begun):
    features, reference, memory = begun
    located = LiteSegmenter(tiny_lite(), config=LiteConfig.published()).locate(reference, features, memory)
    assert torch.equal(located.windows, whole_windows(features.geometry, 3))
    assert located.context.prior.shape == (3, PRIOR_CHANNELS, 2 * GRID, 2 * GRID)
    assert located.context.prior.abs().max() == 0
