import pytest
import torch
from stand_ins.frame import SIZE, first_frame, prior_of, rectangles, registered, seen, view

from persamhq_plugins.prompt_selectors.discriminative import Discriminative, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError
from persamhq_video.protocols import Fits, FrameInfo, Remembers
from persamhq_video.tracking.strategy import SLOT_BYTES, Strategy, slot_bytes

FRAME = FrameInfo(index=3, size=(96, 128))
GRID = (12, 16)
BODY = (32, 24, 64, 56)
KINDS = pytest.mark.parametrize("kind", ["ridge", "logistic"])


def scene(target=(4, 3), decoy=(12, 8), *, channels=24, seed=0):
    """Features of a target 4 x 4 cells large, of a look-alike half like it, and of noise; the decoy is most similar."""
    random = torch.Generator().manual_seed(seed)
    embedding = 0.3 * torch.randn(channels, *GRID, generator=random)
    embedding[0] += 1
    for (x, y), direction in ((target, 1), (decoy, 2)):
        embedding[3, y : y + 4, x : x + 4] += 2.0  # what they share
        embedding[direction, y : y + 4, x : x + 4] += 2.0  # what tells them apart
    similarity = torch.zeros(FRAME.size)
    similarity[decoy[1] * 8 + 12, decoy[0] * 8 + 12] = 1.0
    return prior_of(similarity, embedding=embedding)


def fitted(selector, *, mask=None, prior=None):
    mask = rectangles(BODY, size=FRAME.size) if mask is None else mask
    (slot,) = selector.fit(first_frame(mask, prior=prior or scene()))
    return slot


def inside(point, target=(4, 3)):
    return all(8 * low <= value < 8 * (low + 4) for value, low in zip(point, target, strict=True))


@KINDS
def test_the_target_is_found_where_a_look_alike_is_more_similar(kind):
    selector = Discriminative(model=kind, num_positive=2, num_negative=2)
    prompts = selector(scene((9, 5), (0, 0), seed=1), view(slot=fitted(selector)), FRAME)
    positive, negative = prompts.points[prompts.labels == 1], prompts.points[prompts.labels == 0]
    assert inside(positive[0].tolist(), (9, 5))
    assert len(negative) == 2
    assert not any(inside(point, (9, 5)) for point in negative.tolist())
    x0, y0, x1, y1 = prompts.box.tolist()
    assert 56 <= x0 <= 80
    assert 28 <= y0 <= 48
    assert 96 <= x1 <= 118
    assert 64 <= y1 <= 84


def test_objects_of_one_frame_have_models_of_their_own():
    selector, prior = Discriminative(), scene()
    other = (96, 64, 128, 96)
    slots = selector.fit(first_frame(*(rectangles(box, size=FRAME.size) for box in (BODY, other)), prior=prior))
    points = [selector(prior, view(slot=slot), FRAME).points[0].tolist() for slot in slots]
    assert inside(points[0])
    assert inside(points[1], (12, 8))


def test_the_map_may_be_blended_with_the_similarity():
    selector = Discriminative(blend=0.05)
    prompts = selector(scene(), view(slot=fitted(selector)), FRAME)
    assert inside(prompts.points[0].tolist(), (12, 8))  # the similarity's peak


def test_the_box_is_an_option():
    selector = Discriminative(box=False)
    assert selector(scene(), view(slot=fitted(selector)), FRAME).box is None


@KINDS
@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(rectangles((60, 40, 61, 41), size=FRAME.size), id="one pixel"),
        pytest.param(rectangles((0, 0, 128, 96), size=FRAME.size), id="the whole image"),
        pytest.param(rectangles((100, 70, 128, 96), size=FRAME.size), id="at the border"),
    ],
)
def test_masks_of_any_kind_can_be_learnt(kind, mask):
    selector = Discriminative(model=kind)
    prompts = selector(scene(), view(slot=fitted(selector, mask=mask)), FRAME)
    assert torch.isfinite(prompts.points).all()
    assert prompts.labels.tolist()[0] == 1


def test_an_image_of_odd_size_in_a_padded_frame():
    prior = prior_of(torch.zeros(SIZE[0] - 1, SIZE[1] - 3), embedding=torch.randn(24, 8, 8), padded=(64, 64))
    selector = Discriminative(num_positive=3)
    frame = FrameInfo(index=1, size=(29, 37))
    slot = fitted(selector, mask=rectangles((3, 4, 12, 20), size=(29, 37)), prior=prior)
    prompts = selector(prior, view(slot=slot), frame)
    assert (prompts.points >= 0).all()
    assert (prompts.points < torch.tensor([37, 29])).all()
    assert (prompts.box <= torch.tensor([37, 29, 37, 29])).all()


def test_a_frame_without_features_says_so():
    strategy = Strategy("prompt selector", "discriminative", "test.py", Discriminative())
    first = first_frame(rectangles(BODY, size=FRAME.size), prior=prior_of(torch.zeros(FRAME.size)))
    with pytest.raises(Exception, match=r"'discriminative' .* failed at frame 0: .*carries no features"):
        strategy.fit(first, [1])


class TestRemembering:
    @KINDS
    def test_a_confident_frame_is_learnt_from(self, kind):
        selector = Discriminative(model=kind, update=True, rate=0.5)
        slot, prior = fitted(selector), scene(seed=5)
        after = selector.remember(slot, seen(rectangles(BODY, size=FRAME.size), prior=prior))
        assert not torch.equal(after["vector"], slot["vector"])
        assert torch.equal(after["axes"], slot["axes"])

    @pytest.mark.parametrize(
        "changes", [{"score": 0.6}, {"state": "uncertain"}, {"state": "absent", "score": 0.0}], ids=str
    )
    def test_what_is_doubtful_teaches_nothing(self, changes):
        selector = Discriminative(update=True)
        slot = fitted(selector)
        assert selector.remember(slot, seen(rectangles(BODY, size=FRAME.size), prior=scene(), **changes)) is slot

    def test_what_is_handed_in_stays_as_it_was(self):
        selector = Discriminative(update=True)
        slot = fitted(selector)
        before = {key: value.clone() for key, value in slot.items()}
        selector.remember(slot, seen(rectangles(BODY, size=FRAME.size), prior=scene(seed=2)))
        assert all(torch.equal(slot[key], value) for key, value in before.items())

    @KINDS
    @pytest.mark.parametrize("channels", [24, 128, 256])
    def test_a_slot_travels(self, kind, channels):
        selector = Discriminative(model=kind, update=True)
        slot = fitted(selector, prior=scene(channels=channels))
        after = selector.remember(slot, seen(rectangles(BODY, size=FRAME.size), prior=scene(channels=channels)))
        assert slot_bytes(after) == slot_bytes(slot) <= SLOT_BYTES

    def test_the_same_frames_give_the_same_bits(self):
        def run():
            selector = Discriminative(model="logistic", update=True)
            slot = fitted(selector)
            for seed in range(3):
                slot = selector.remember(slot, seen(rectangles(BODY, size=FRAME.size), prior=scene(seed=seed)))
            return slot

        one, other = run(), run()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("update", [False, True])
def test_it_remembers_only_where_it_is_told_to(update):
    strategy = Strategy("prompt selector", "discriminative", "test.py", Discriminative(update=update))
    assert isinstance(strategy.call, Fits)
    assert isinstance(strategy.call, Remembers)
    assert strategy.needs_history is update
    assert strategy.remembers is update


@pytest.mark.parametrize(
    "options",
    [{"model": "svm"}, {"channels": 65}, {"regularisation": 0}, {"rate": 0}, {"blend": 2}, {"confident": -1}],
)
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_prompt_selectors)["discriminative"].make(options)


def test_it_is_offered_by_name_and_is_pure_by_default():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("discriminative", False)
    assert entry.summary
    assert all(option.doc for option in entry.options)
