from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins.lite import GRID, tiny_lite

from persam_hq.mask_boxes import outer_boxes
from persam_hq.modeling.lite.location_prior import FIRST_CHANNELS, RIDGE_CHANNELS, PriorChannel
from persam_hq.modeling.lite.prompt_maps import box_shapes
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.training.data.prompt_simulation import jitter_boxes, noisy_mask, random_points
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import encode_clips
from persam_hq.training.lite.prompts import (
    KINDS,
    SimulatedPrompt,
    _corrected,
    _draw,
    _look_closer,
    _meant,
    _with_points,
    prompt_against,
    prompt_frame,
)
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.unrolled_tracker import UnrolledTracker
from persam_hq.types import DecoderOutput

TOKENS = {"point": "points", "points": "points", "box": "boxes", "mask": "masks"}


def chances(seed=0, batch=2):
    return StepRng(np.random.default_rng(seed), batch=batch)


MASK = torch.zeros(2, 30, 40)
MASK[0, 5:20, 10:30] = 1
MASK[1, 3:5, 7:9] = 1


def test_points_lie_inside_off_the_border_where_there_is_room():
    points = random_points(MASK, 4, chances()).long()
    assert points.shape == (2, 4, 2)
    x, y = points[0].unbind(dim=1)
    assert bool(((x >= 12) & (x < 28) & (y >= 7) & (y < 18)).all())
    assert bool((MASK[1, points[1, :, 1], points[1, :, 0]] == 1).all())


def test_points_lie_outside_where_that_is_asked_for():
    points = random_points(MASK, 5, chances(), inside=False).long()
    for row in range(2):
        assert bool((MASK[row, points[row, :, 1], points[row, :, 0]] == 0).all())


def test_an_empty_mask_still_gives_a_point():
    assert torch.isfinite(random_points(torch.zeros(2, 30, 40), 1, chances())).all()


def test_boxes_are_moved_a_little():
    boxes = torch.tensor([[10.0, 20, 60, 40]]).expand(300, 4)
    moved = jitter_boxes(boxes, chances(batch=300)) - boxes
    assert moved[:, [0, 2]].abs().max() <= 0.06 * 50
    assert moved[:, [1, 3]].abs().max() <= 0.06 * 20
    assert moved.abs().min(dim=0).values.max() < 0.2


def test_a_noisy_mask_wanders_about_the_true_border():
    truth = torch.zeros(2, 1, 24, 24)
    truth[..., 6:18, 6:18] = 1
    noisy = noisy_mask(truth, chances())
    assert noisy.unique().tolist() == [0, 1]
    wrong = (noisy > 0.5) != (truth > 0.5)
    assert 0 < wrong.float().mean() < 0.2
    assert not wrong[..., 10:14, 10:14].any()
    assert not wrong[..., :2, :].any()


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


@pytest.fixture(scope="module")
def frame(model):
    """Two segments of one image."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 1, 3, 128, 128))).float()
    masks = torch.zeros(2, 1, 128, 128)
    masks[0, :, 20:80, 24:100] = 1
    masks[1, :, 60:100, 30:60] = 1
    with torch.no_grad():
        return encode_clips(model, image.expand(2, 1, 3, 128, 128), masks)[0]


def given(tokens):
    return [name for name in ("points", "boxes", "masks") if getattr(tokens, name) is not None]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_is_drawn_is_tokens_or_is_both(model, frame, kind):
    ways = []
    for seed in range(60):
        prompt = _draw(model, kind, frame, chances(seed))
        assert given(prompt.tokens) in ([], [TOKENS[kind]])
        assert (prompt.limits is not None) == (kind == "box")
        assert prompt.windows.shape == (2, 4)
        if prompt.shapes is not None:
            assert prompt.shapes.shape == (2, 1, 4 * GRID, 4 * GRID)
            assert 0 <= prompt.shapes.min() <= prompt.shapes.max() <= 1
        ways.append((prompt.shapes is not None, bool(given(prompt.tokens))))
    assert set(ways) == {(True, True), (True, False), (False, True)}  # a prompt of nothing asks nothing
    assert ways.count((True, True)) / 60 == pytest.approx(0.85 * 0.8, abs=0.17)
    assert "SimulatedPrompt(PromptBatch" in repr(prompt)


def drawn(model, frame, kind, seeds=20):
    """Prompts of that kind that are drawn and have tokens too."""
    prompts = (_draw(model, kind, frame, chances(seed)) for seed in range(seeds))
    return [prompt for prompt in prompts if prompt.shapes is not None and given(prompt.tokens)]


@torch.no_grad()
def test_a_drawn_box_is_the_box_of_its_tokens_and_limits(model, frame):
    for prompt in drawn(model, frame, "box"):
        assert torch.equal(prompt.tokens.boxes, prompt.limits)
        assert (prompt.limits - outer_boxes(frame.mask)).abs().max() < 0.07 * 76
        assert torch.equal(prompt.shapes, box_shapes(prompt.limits, prompt.windows, grid=4 * GRID))
        cell = (prompt.windows[:, 2:] - prompt.windows[:, :2]).prod(dim=1) / (4 * GRID) ** 2
        area = (prompt.limits[:, 2:] - prompt.limits[:, :2]).prod(dim=1)
        assert bool((prompt.shapes.sum(dim=(1, 2, 3)) * cell > 0.8 * area).all())


@torch.no_grad()
def test_a_drawn_mask_says_what_its_tokens_say(model, frame):
    for prompt in drawn(model, frame, "mask"):
        assert torch.equal(prompt.tokens.masks, 10 * prompt.shapes - 5)
        truth = frame.truth(prompt.windows, grid=4 * GRID)
        assert ((prompt.shapes > 0.5) == (truth > 0.5)).float().mean() > 0.8


@torch.no_grad()
@pytest.mark.parametrize(("kind", "labels"), [("point", [1]), ("points", [1, 1, 0])])
def test_drawn_points_are_disks_at_the_points(model, frame, kind, labels):
    cut_out = 0
    for prompt in drawn(model, frame, kind):
        points, given_labels = prompt.tokens.points
        assert given_labels.tolist() == [labels] * 2
        for row in range(2):
            x, y = points[row].long().unbind(dim=1)
            assert frame.mask[row, y, x].tolist() == labels
            extent = prompt.windows[row, 2:] - prompt.windows[row, :2]
            cells = ((points[row] - prompt.windows[row, :2]) / extent * 4 * GRID).long()
            inside = ((cells >= 0) & (cells < 4 * GRID)).all(dim=1)
            at_points = prompt.shapes[row, 0, cells[inside, 1], cells[inside, 0]]
            positive = given_labels[row, inside] == 1
            assert not at_points[~positive].any()
            cut_out += int((~positive).sum())
            if len(labels) == 1:
                assert bool((at_points > 0.5).all())
        assert 0 < prompt.shapes.mean() < 0.25
    assert (cut_out > 0) == (kind == "points")


@torch.no_grad()
def test_the_single_mask_is_meant_or_where_the_prompt_is_ambiguous_the_best_of_three():
    truth = torch.zeros(2, 1, 12, 12)
    truth[0, :, :6], truth[1, :, 6:] = 1, 1
    right = 8 * F.avg_pool2d(truth, 2) - 4
    masks = (-right).repeat(1, 4, 1, 1)
    masks[0, 3], masks[1, 1] = right[0, 0], right[1, 0]
    output = DecoderOutput(masks=masks, iou_predictions=torch.zeros(2, 4), hq_masks=None)
    assert torch.allclose(_meant(output, truth, best_only=True), torch.sigmoid(right))
    assert torch.allclose(_meant(output, truth, best_only=False), torch.sigmoid(-right))


WINDOWS = torch.tensor([[0.0, 0, 128, 128], [0, 0, 128, 128]])
FOUND = torch.tensor([[32.0, 40, 80, 72], [64, 64, 96, 112]])


def closer(frame, *, seed, limits=None):
    """The second look after boxes were found, in windows over the whole crop."""
    tokens = PromptBatch(boxes=limits, masks=torch.zeros(2, 1, 4 * GRID, 4 * GRID))
    prompt = SimulatedPrompt(tokens=tokens, shapes=None, windows=WINDOWS, limits=limits)
    return _look_closer(prompt, box_shapes(FOUND, WINDOWS, grid=4 * GRID), frame, chances(seed))


@torch.no_grad()
def test_the_second_look_is_at_what_was_found_mostly_from_nearer(frame):
    nearer = 0
    for seed in range(15):
        second = closer(frame, seed=seed)
        assert second.shapes.shape == (2, 1, 4 * GRID, 4 * GRID)
        assert 0 <= second.shapes.min() <= second.shapes.max() <= 1
        assert second.tokens.masks is None  # what is found takes the place of a rough mask
        extent = second.windows[:, 2:] - second.windows[:, :2]
        nearer += int((extent.amax(dim=1) < 127).sum())
        # The mask found is drawn where it is, as large as it is, unless the window cuts it
        boxes = second.windows[:, :2].repeat(1, 2) + outer_boxes(second.shapes[:, 0]) * extent.repeat(1, 2) / (4 * GRID)
        cut = torch.maximum(FOUND[:, :2], second.windows[:, :2]), torch.minimum(FOUND[:, 2:], second.windows[:, 2:])
        assert (boxes - torch.cat(cut, dim=1)).abs().max() < 6
    assert 15 <= nearer < 30


@torch.no_grad()
def test_nothing_is_drawn_outside_of_a_box(frame):
    limits = torch.tensor([[32.0, 40, 56, 72], [64, 64, 96, 88]])  # a half of what was found
    for seed in range(8):
        bounded, free = closer(frame, seed=seed, limits=limits), closer(frame, seed=seed)
        inside = box_shapes(limits, bounded.windows, grid=4 * GRID)
        assert torch.equal(bounded.windows, free.windows)
        assert torch.allclose(bounded.shapes, free.shapes * inside)
        assert bounded.shapes[inside == 0].abs().max() == 0
        assert bounded.shapes.max() > 0.5
        assert torch.equal(bounded.tokens.boxes, limits)


class Decided(StepRng):
    """A prompt of one kind, drawn or not, with its tokens or not."""

    def __init__(self, kind, *, drawn, tokens):
        super().__init__(np.random.default_rng(0), batch=2)
        self.kind = kind
        self.answers = {0.85: drawn, 0.2: not tokens, 0.15: False}

    def pick(self, weights):
        assert self.kind in weights
        return self.kind

    def once(self, probability):
        return self.answers[probability]


@pytest.fixture
def asked(model, monkeypatch):
    """What the model is asked to decode."""
    calls, decode = [], model.decode
    monkeypatch.setattr(
        model, "decode", lambda seen, **options: calls.append((seen, options)) or decode(seen, **options)
    )
    return calls


@pytest.mark.parametrize("way", [(True, True), (True, False), (False, True)], ids=["both", "drawn", "tokens"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_prompt_is_decoded_twice_and_scored(model, frame, asked, kind, way):
    is_drawn, tokens = way
    losses = StepLosses(np.random.default_rng(0))
    prompt_frame(model, frame, Decided(kind, drawn=is_drawn, tokens=tokens), losses)
    figures = losses.result(frames=1).figures
    assert set(figures) == {"loss", f"iou_{kind}", f"iou_{kind}_hq", f"iou_{kind}+", f"iou_{kind}+_hq"}

    first, second = (options for _, options in asked)
    assert given(first["prompts"]) == ([TOKENS[kind]] if tokens else [])
    assert given(second["prompts"]) == ([TOKENS[kind]] if tokens and kind != "mask" else [])
    # Nothing is known of a first frame; the prompt comes as a last mask if it is drawn, what was found always does
    for options, known in ((first, is_drawn), (second, True)):
        prior = options["prior"]
        assert prior[:, [*FIRST_CHANNELS, *RIDGE_CHANNELS]].abs().max() == 0
        assert prior[:, PriorChannel.PREVIOUS_KNOWN].unique().tolist() == [float(known)]
        assert (prior.abs().max() > 0) == known


@pytest.mark.parametrize("kind", ["point", "box"])
def test_a_found_mask_teaches_nothing_backwards(model, frame, asked, kind):
    prompt_frame(model, frame, Decided(kind, drawn=False, tokens=True), StepLosses(np.random.default_rng(0)))
    (_, first), (_, second) = asked
    assert not first["prior"].requires_grad
    # The matches of the second look learn, the mask that it starts from does not
    own = second["prior"][:, 8:]
    (gradient,) = torch.autograd.grad(
        own.sum(), model.mask_decoder.mask_tokens.weight, allow_unused=True, retain_graph=True
    )
    assert gradient is None


@torch.no_grad()
def test_where_a_point_is_ambiguous_the_second_look_has_the_best_of_three(model, frame, monkeypatch):
    wanted = []
    monkeypatch.setattr(
        StepLosses, "add_masks", lambda self, name, *_, best_only, **__: wanted.append((name, best_only))
    )
    for kind in KINDS:
        prompt_frame(model, frame, Decided(kind, drawn=True, tokens=True), StepLosses(np.random.default_rng(0)))
    assert dict(wanted) == {f"{kind}{pass_}": (kind, pass_) == ("point", "") for kind in KINDS for pass_ in ("", "+")}


def test_the_same_generator_gives_the_same_prompt(model, frame):
    def loss(seed):
        losses = StepLosses(np.random.default_rng(0))
        with torch.no_grad():
            prompt_frame(model, frame, chances(seed), losses)
        return losses.result(frames=1).figures

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


@torch.no_grad()
def test_corrections_follow_with_a_point_each(model, frame, asked):
    losses = StepLosses(np.random.default_rng(0))
    decided = Decided("box", drawn=True, tokens=True)
    decided.answers[0.4] = True
    prompt_frame(model, frame, decided, losses, corrections=0.4)
    prompts = [options["prompts"] for _, options in asked]
    assert [0 if p.points is None else p.points[0].shape[1] for p in prompts] == [0, 0, 1, 2]
    assert all(p.boxes is not None for p in prompts)
    assert {"iou_corrected", "iou_corrected_hq"} < set(losses.result(frames=1).figures)


@torch.no_grad()
@pytest.mark.parametrize(
    ("found", "label", "places"),
    [
        pytest.param((20, 80, 24, 60), 1.0, (20, 80, 60, 100), id="what was missed"),
        pytest.param((20, 110, 24, 100), 0.0, (80, 110, 24, 100), id="what is none of it"),
        pytest.param((20, 80, 24, 100), 1.0, (20, 80, 24, 100), id="nothing is wrong"),
    ],
)
def test_a_correction_lies_where_the_mask_is_wrong(frame, found, label, places):
    y0, y1, x0, x1 = found
    mask = torch.zeros(2, 1, 128, 128)
    mask[:, :, y0:y1, x0:x1] = 1
    before = SimulatedPrompt(tokens=PromptBatch(), shapes=mask, windows=frame.whole, limits=None)
    for seed in range(5):
        points, labels = _corrected(before, mask, frame, chances(seed)).tokens.points
        x, y = points[0, 0].tolist()
        assert labels[0, 0] == label
        assert places[0] <= y < places[1]
        assert places[2] <= x < places[3]


def test_a_background_point_is_cut_out_of_the_mask_so_far(frame):
    points = (torch.tensor([[[64.0, 64.0]]]).expand(2, 1, 2), torch.tensor([[0.0], [1.0]]))
    prompt = SimulatedPrompt(tokens=PromptBatch(points=points), shapes=None, windows=frame.whole, limits=None)
    shapes = _with_points(torch.ones(2, 1, 32, 32), prompt, frame.whole)
    assert shapes[0, 0, 16, 16] == 0
    assert shapes[0, 0, 4, 4] == 1
    assert bool((shapes[1] == 1).all())


@pytest.fixture(scope="module")
def crowded(frame):
    """The first object has another one beside it, the second has none."""
    beside = torch.zeros_like(frame.mask)
    beside[0, 90:120, 10:50] = 1
    return replace(frame, beside=beside)


def told(model, frame, asked, seed):
    """What is decoded of a prompt against the prior, with which truth."""
    asked.clear()
    with torch.no_grad():
        losses = StepLosses(np.random.default_rng(0))
        tracker = UnrolledTracker(model, chances=chances(seed), losses=losses)
        reference, _ = tracker.begin(frame)
        prompt_against(model, frame, reference, chances(seed), losses)
    ((seen, options),) = asked
    return seen, options, losses.result(frames=1).figures


def test_a_prompt_against_the_prior_is_scored_by_what_it_is_on(model, crowded, asked, monkeypatch):
    truths, meant = [], []
    add = StepLosses.add_masks
    monkeypatch.setattr(
        StepLosses,
        "add_masks",
        lambda self, name, output, truth, **o: truths.append(truth) or add(self, name, output, truth, **o),
    )
    for seed in range(12):
        seen, _, figures = told(model, crowded, asked, seed)
        assert {"iou_against", "iou_against_hq"} <= set(figures)
        wanted = {
            name: crowded.truth(seen.windows, grid=model.geometry.hq_grid)
            if name == "own"
            else replace(crowded, mask=crowded.beside).truth(seen.windows, grid=model.geometry.hq_grid)
            for name in ("own", "other")
        }
        # The second object has nothing beside it, so that the prompt is on itself
        assert torch.equal(truths[-1][1], wanted["own"][1])
        meant += [name for name, truth in wanted.items() if torch.equal(truths[-1][0], truth[0])]
    assert len(meant) == 12
    assert meant.count("other") > meant.count("own") > 0


def test_matching_speaks_of_the_tracked_object_in_most_of_them(model, crowded, asked):
    known = []
    for seed in range(12):
        _, options, _ = told(model, crowded, asked, seed)
        prior = options["prior"]
        known += (prior[:, PriorChannel.FIRST_KNOWN].amax(dim=(1, 2)) > 0).tolist()
        assert not prior.requires_grad
    assert 0.4 < np.mean(known) < 0.95
