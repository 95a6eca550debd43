import pytest
import torch
from stand_ins.frame import RecordingDecode, first_frame, predicted, rectangles, refined, registered, seen

from persamhq_plugins.mask_refiners.temporal_smooth import TemporalSmooth, persamhq_register_mask_refiners
from persamhq_video.errors import ConfigError
from persamhq_video.tracking.strategy import SLOT_BYTES, Strategy, slot_bytes

SIZE = (60, 80)
BODY = (20, 15, 50, 45)


def mask_of(*boxes, size=SIZE):
    return rectangles(*boxes, size=size)


def smoothed(now, *before, options=None, **logits):
    """What becomes of the masks `now` after the masks `before`, one an object."""
    refiner = TemporalSmooth(**{"weight": 0.3, **(options or {})})
    slots = tuple(refiner.remember(None, seen(mask)) for mask in before)
    return refined(refiner, predicted(*now, **logits), decode=RecordingDecode(slots=slots))


def test_a_hole_of_one_frame_is_closed_and_a_speck_does_not_appear():
    now = mask_of(BODY, (51, 30, 53, 32)) & ~mask_of((30, 30, 33, 33))
    found = smoothed([now], mask_of(BODY, (52, 15, 53, 16)), options={"weight": 0.5}, inside=0.5, outside=-0.5)
    assert not found.masks[0, 31, 51:53].any()
    assert found.masks[0, 30:33, 30:33].all()


def test_what_is_certain_now_wins():
    now = mask_of(BODY) & ~mask_of((30, 30, 33, 33))
    found = smoothed([now], mask_of(BODY), inside=8.0, outside=-8.0)
    assert torch.equal(found.masks[0], now)


@pytest.mark.parametrize("moved", [(0, 0), (7, -4), (-20, -15), (30, 15)], ids=str)
def test_the_mask_before_moves_along(moved):
    x, y = moved
    now = mask_of((20 + x, 15 + y, 50 + x, 45 + y)) & ~mask_of((30 + x, 30 + y, 32 + x, 32 + y))
    found = smoothed([now], mask_of(BODY), options={"weight": 0.5}, inside=0.5, outside=-0.5)
    assert torch.equal(found.masks[0], mask_of((20 + x, 15 + y, 50 + x, 45 + y)))


@pytest.mark.parametrize("box", [(40, 30, 42, 32), (0, 0, 80, 3)], ids=["much smaller", "of another shape"])
def test_where_the_object_has_changed_the_mask_stays(box):
    now = predicted(mask_of(box), inside=0.1)
    found = smoothed([mask_of(box)], mask_of(BODY), inside=0.1)
    assert torch.equal(found.logits, now.logits)


def test_the_agreement_asked_for_is_an_option():
    now = mask_of((20, 15, 50, 30))  # half of it, so their IoU is no more than a half
    kept = smoothed([now], mask_of(BODY), options={"agreement": 0.6}, inside=0.5, outside=-0.5)
    blended = smoothed([now], mask_of(BODY), options={"agreement": 0.3, "weight": 0.6}, inside=0.5, outside=-0.5)
    assert torch.equal(kept.masks[0], now)
    assert blended.masks[0].sum() > now.sum()


@pytest.mark.parametrize("box", [(5, 5, 6, 6), (0, 0, 1, 1), (79, 59, 80, 60), (0, 0, 80, 60), (70, 50, 80, 60)])
def test_an_object_that_stays_as_it_is_keeps_its_mask(box):
    found = smoothed([mask_of(box)], mask_of(box))
    assert torch.equal(found.masks[0], mask_of(box))


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (301, 499)])
def test_odd_and_large_sizes(size):
    body = mask_of((0, 0, (size[1] + 1) // 2, size[0]), size=size)
    found = smoothed([body], body)
    assert torch.equal(found.masks[0], body)


def test_objects_without_a_past_and_empty_masks():
    nothing = mask_of()
    found = smoothed([nothing, mask_of(BODY), nothing], mask_of(BODY), nothing, nothing)
    assert torch.equal(found.masks, torch.stack([nothing, mask_of(BODY), nothing]))


class TestSlots:
    @pytest.mark.parametrize("size", [SIZE, (1080, 1920)])
    def test_they_travel(self, size):
        slot = TemporalSmooth().remember(None, seen(mask_of((0, 0, size[1], size[0]), size=size)))
        assert slot_bytes(slot) <= SLOT_BYTES

    def test_the_first_one_is_the_given_mask(self):
        kept, none = TemporalSmooth().fit(first_frame(mask_of(BODY), mask_of()))
        assert kept["box"] == (20, 15, 49, 44)
        assert (kept["shares"] == 1).all()
        assert none is None

    def test_an_object_that_is_absent_leaves_nothing(self):
        slot = TemporalSmooth().remember(None, seen(mask_of(BODY)))
        assert TemporalSmooth().remember(slot, seen(mask_of(), state="absent", score=0.0)) is None
        assert TemporalSmooth().remember(slot, seen(mask_of(), state="uncertain")) is None

    def test_large_masks_are_kept_as_shares(self):
        stripes = torch.zeros(512, 512, dtype=torch.bool)
        stripes[:, ::2] = True
        slot = TemporalSmooth().remember(None, seen(stripes))
        assert slot["shares"].shape == (128, 128)
        assert 0.4 < slot["shares"].astype("float32").mean() < 0.6


def test_it_needs_earlier_frames():
    assert Strategy("mask refiner", "temporal_smooth", "test.py", TemporalSmooth()).needs_history


@pytest.mark.parametrize("options", [{"weight": 0}, {"weight": 1}, {"agreement": 2}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_mask_refiners)["temporal_smooth"].make(options)


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "temporal_smooth"
    assert entry.summary
    assert all(option.doc for option in entry.options)
