from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from stand_ins.lite import GRID, tiny_lite

from persam_hq.build.lite import build_lite
from persam_hq.modeling.lite.image_encoder import IntermLevel
from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    PREVIOUS_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    PriorChannel,
)
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT
from persam_hq.segmenter import LiteConfig, LiteSegmenter
from persam_hq.segmenter.lite.windows import (
    input_boxes,
    input_shares,
    outer_edges,
    tracking_windows,
    updated_velocity,
    whole_windows,
)
from persam_hq.types import ImageFeatures, ImageGeometry, PromptSet

GEOMETRY = ImageGeometry(original=(50, 100), input=(100, 200), padded=(128, 224))


@pytest.fixture(scope="module")
def segmenter():
    return LiteSegmenter(tiny_lite())


@pytest.fixture(scope="module")
def begun(segmenter, scene):
    """Features of a later frame, and the reference and the memory that the first one left."""
    first = segmenter.encode(scene.frames[0])
    reference, memory = segmenter.personalize(first, scene.masks), segmenter.begin(first, scene.masks)
    return segmenter.encode(scene.frames[1]), reference, memory


def no_prompts(k):
    return [PromptSet.from_points()] * k


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


def _scored(prediction, score):
    return replace(prediction, scores=torch.full_like(prediction.scores, score))


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


def test_published_means_whole_frames_and_no_dense_prior(begun):
    features, reference, memory = begun
    located = LiteSegmenter(tiny_lite(), config=LiteConfig.published()).locate(reference, features, memory)
    assert torch.equal(located.windows, whole_windows(features.geometry, 3))
    assert located.context.prior.shape == (3, PRIOR_CHANNELS, 2 * GRID, 2 * GRID)
    assert located.context.prior.abs().max() == 0


def test_the_first_memory_holds_the_masks_that_were_given(segmenter, scene):
    memory = segmenter.begin(segmenter.encode(scene.frames[0]), scene.masks)
    assert memory.boxes.tolist() == [[20, 30, 59, 65], [100, 10, 129, 39], [140, 80, 140, 80]]
    covered = (memory.logits.float() / 8 + 0.5).clamp(0, 1).sum(dim=(1, 2, 3))
    cell = (memory.windows[:, 2] - memory.windows[:, 0]) * (memory.windows[:, 3] - memory.windows[:, 1])
    areas = covered * cell / (4 * GRID) ** 2
    assert torch.allclose(areas[:2], scene.masks[:2].sum(dim=(1, 2)).float(), rtol=0.1)


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


def test_windows_are_drawn_in_pixels_of_the_input():
    masks = torch.zeros(2, 50, 100, dtype=torch.bool)
    masks[0, 10:20, 30:50] = True
    masks[1, 49, 99] = True
    boxes = input_boxes(masks, GEOMETRY)
    assert boxes.tolist() == [[60, 20, 100, 40], [198, 98, 200, 100]]
    windows = tracking_windows(boxes, GEOMETRY, LiteConfig(min_side=30.0, track_factor=1.5))
    assert windows.tolist() == [[50, 0, 110, 60], [170, 70, 200, 100]]
    assert whole_windows(GEOMETRY, 2).tolist() == [[0, 0, 200, 100]] * 2
    assert outer_edges(torch.tensor([[1.0, 2, 3, 4]])).tolist() == [[1, 2, 4, 5]]


def test_masks_become_shares_of_the_padded_input():
    masks = torch.rand(2, 50, 100, generator=torch.Generator().manual_seed(0)) > 0.5
    shares = input_shares(masks, GEOMETRY)
    assert shares.shape == (2, 1, 128, 224)
    assert torch.equal(shares[:, :, :100, :200], F.interpolate(masks[:, None].float(), scale_factor=2))
    assert shares[:, :, 100:].abs().max() == 0
    assert shares[..., 200:].abs().max() == 0


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
