import pytest
import torch
from stand_ins.frame import FRAME, NO_PROMPTS, SIZE, first_frame, rectangles, registered

from persam_hq.personalization import scale_loss
from persam_hq.types import DecoderOutput, MaskPrediction
from persamhq_plugins.mask_refiners.scale_weights import ScaleWeights, persamhq_register_mask_refiners
from persamhq_video.errors import ConfigError
from persamhq_video.tracking.strategy import SLOT_BYTES, slot_bytes

WHOLE, PART, SUBPART = (5, 5, 35, 25), (5, 5, 20, 25), (5, 5, 20, 12)


def scales(*boxes, size=SIZE):
    """Logits (4, H, W): a single mask that is wrong everywhere, and three scales."""
    return torch.stack([torch.full(size, 9.0), *(8.0 * rectangles(box, size=size) - 4 for box in boxes)])


class ScaleDecode:
    """A decoder on the grid of the image, that keeps what it was asked to show."""

    def __init__(self, *objects, hq=None, slots=(), size=SIZE):
        self.masks, self.hq, self.slots, self.frame, self.size = torch.stack(objects), hq, slots, FRAME, size
        self.shown, self.asked = [], []

    def unselected(self, prompts):
        self.asked.append(prompts)
        iou = torch.tensor([0.9, 0.2, 0.4, 0.8]).repeat(len(self.masks), 1)
        return DecoderOutput(masks=self.masks, iou_predictions=iou, hq_masks=self.hq)

    def show(self, logits, *, scores):
        self.shown.append(logits)
        placed = torch.nn.functional.interpolate(logits, size=self.size)[:, 0]
        return MaskPrediction(masks=placed > 0, scores=scores, low_res_logits=placed, logits=placed)


def fitted(*masks, decode, **options):
    first = first_frame(*masks, decode=decode, prompts=(NO_PROMPTS,) * len(masks))
    return ScaleWeights(**options).fit(first)


def refine(decode):
    return ScaleWeights()(None, [NO_PROMPTS] * len(decode.masks), decode, None)


@pytest.mark.parametrize(("box", "best"), [(WHOLE, 0), (PART, 1), (SUBPART, 2)], ids=["whole", "part", "subpart"])
def test_the_scale_of_the_first_frame_gets_the_weight(box, best):
    (weights,) = fitted(rectangles(box), decode=ScaleDecode(scales(WHOLE, PART, SUBPART)))
    assert weights.argmax() == best
    assert weights.sum() == pytest.approx(1)


def test_objects_have_weights_of_their_own():
    decode = ScaleDecode(scales(WHOLE, PART, SUBPART), scales(WHOLE, PART, SUBPART))
    one, other = fitted(rectangles(WHOLE), rectangles(SUBPART), decode=decode)
    assert (int(one.argmax()), int(other.argmax())) == (0, 2)
    assert slot_bytes(one) <= SLOT_BYTES


@pytest.mark.parametrize("box", [(3, 3, 4, 4), (0, 0, 40, 30)], ids=["one pixel", "all"])
def test_masks_of_any_kind_can_be_fitted(box):
    (weights,) = fitted(rectangles(box), decode=ScaleDecode(scales(WHOLE, PART, SUBPART)))
    assert torch.isfinite(weights).all()


def test_the_optimal_solver_leaves_the_lower_loss():
    masks, mask = scales(WHOLE, PART, SUBPART), rectangles((5, 5, 25, 20))
    found = [fitted(mask, decode=ScaleDecode(masks), solver=solver)[0] for solver in ("optimal", "published_video")]
    optimal, published = (scale_loss(masks[1:], mask, weights) for weights in found)
    assert optimal < published


class TestKnownWeights:
    def test_each_object_has_its_own(self):
        known = {1: (1.0, 0.0, 0.0), 2: (0.0, 0.0, 1.0)}
        slots = fitted(rectangles(PART), rectangles(PART), decode=None, weights=known)
        assert [slot.tolist() for slot in slots] == [list(known[1]), list(known[2])]

    def test_those_of_every_other_object(self):
        (slot,) = fitted(rectangles(PART), decode=None, weights={0: (0.0, 1.0, 0.0)})
        assert slot.tolist() == [0, 1, 0]

    def test_an_object_without_any(self):
        with pytest.raises(ValueError, match="no weights for object 2, only for 1"):
            fitted(rectangles(PART), rectangles(PART), decode=None, weights={1: (1.0, 0.0, 0.0)})


def test_it_fits_where_no_gradients_are_kept():
    with torch.inference_mode():
        (weights,) = fitted(rectangles(PART), decode=ScaleDecode(scales(WHOLE, PART, SUBPART)))
    assert weights.argmax() == 1
    assert not weights.requires_grad


def test_odd_sizes():
    size = (29, 37)
    decode = ScaleDecode(scales(WHOLE, PART, SUBPART, size=size), size=size)
    (weights,) = fitted(rectangles(PART, size=size), decode=decode)
    assert weights.argmax() == 1


class TestFrames:
    def test_the_three_scales_are_weighed(self):
        weights = torch.tensor([0.5, 0.75, -0.25])
        decode = ScaleDecode(scales(WHOLE, PART, SUBPART), slots=(weights,))
        found = refine(decode)
        expected = (decode.masks[0, 1:] * weights[:, None, None]).sum(dim=0)
        assert torch.allclose(decode.shown[0][0, 0], expected)
        assert torch.equal(found.masks, found.logits > 0)
        assert found.scores.tolist() == pytest.approx([0.5 * 0.2 + 0.75 * 0.4 - 0.25 * 0.8])

    def test_each_object_by_its_own_weights(self):
        slots = tuple(torch.eye(3)[[1, 0]])
        found = refine(ScaleDecode(scales(WHOLE, PART, SUBPART), scales(WHOLE, PART, SUBPART), slots=slots))
        assert torch.equal(found.masks, torch.stack([rectangles(PART), rectangles(WHOLE)]))

    @pytest.mark.parametrize("finer", [1, 2])
    def test_the_hq_mask_is_added_after_the_weighing(self, finer):
        hq = torch.zeros(1, 1, finer * SIZE[0], finer * SIZE[1])
        hq[..., : 5 * finer, :] = 50.0  # the top rows, which no scale has
        found = refine(ScaleDecode(scales(WHOLE, PART, SUBPART), hq=hq, slots=(torch.eye(3)[0],)))
        assert found.masks[0, :5].all()
        assert torch.equal(found.masks[0, 6:24], rectangles(WHOLE)[6:24])

    def test_no_scale_finds_anything(self):
        empty = torch.full((4, *SIZE), -5.0)
        assert not refine(ScaleDecode(empty, slots=(torch.eye(3)[0],))).masks.any()


@pytest.mark.parametrize("options", [{"solver": "newton"}, {"weights": {1: [1.0]}}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_mask_refiners)["scale_weights"].make(options)


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "scale_weights"
    assert entry.summary
    assert all(option.doc for option in entry.options)
