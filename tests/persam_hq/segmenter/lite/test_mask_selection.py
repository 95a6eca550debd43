import pytest
import torch

from persam_hq.modeling.lite.location_prior import PRIOR_CHANNELS, PriorChannel
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.mask_selection import (
    agreement,
    along_the_border,
    connected_to,
    hq_detail,
    likeness,
    mask_by_agreement,
)
from persam_hq.types import DecoderOutput

SIDE = 8
CONFIG = LiteConfig()


def mask(columns, *, side=SIDE):
    """Logits of a mask over the first columns."""
    logits = torch.full((side, side), -9.0)
    logits[:, :columns] = 9.0
    return logits


def output(columns, iou):
    return DecoderOutput(
        masks=torch.stack([mask(c) for c in columns])[None], iou_predictions=torch.tensor([iou]), hq_masks=None
    )


def test_agreement_is_an_iou():
    expected = torch.zeros(1, SIDE, SIDE)
    expected[..., :4] = 1
    got = agreement(torch.stack([mask(4), mask(8), mask(2), mask(0)])[None], expected)
    assert got[0].tolist() == pytest.approx([1, 0.5, 0.5, 0], abs=1e-2)


@pytest.mark.parametrize(
    ("columns", "iou", "chosen"),
    [
        pytest.param([4, 8, 2, 0], [0.5, 0.5, 0.5, 0.5], 0, id="the single mask agrees"),
        pytest.param([8, 4, 2, 0], [0.5, 0.5, 0.5, 0.5], 1, id="another one agrees better"),
        pytest.param([4, 4, 4, 4], [0.5, 0.55, 0.5, 0.5], 0, id="a little better is not enough"),
        pytest.param([4, 4, 4, 4], [0.5, 0.5, 0.8, 0.5], 2, id="the IoU decides among equals"),
        pytest.param([4, 8, 2, 0], [0.1, 0.9, 0.1, 0.1], 1, id="agreement and IoU are added"),
    ],
)
def test_the_mask_that_agrees_and_is_sure_of_itself(columns, iou, chosen):
    prior = torch.zeros(1, PRIOR_CHANNELS, SIDE, SIDE)
    prior[:, PriorChannel.FIRST_READ_OUT] = -1
    prior[:, PriorChannel.FIRST_READ_OUT, :, :4] = 1
    assert mask_by_agreement(output(columns, iou), prior, CONFIG).tolist() == [chosen]


@pytest.mark.parametrize("reach", [3, CONFIG.hq_reach])
def test_hq_has_a_say_along_the_border_only(reach):
    side, edge = 32, 16
    plain = mask(edge, side=side)[None, None]
    got = along_the_border(plain, torch.full((1, 1, 2 * side, 2 * side), -30.0), reach=reach)[0, 0]
    assert got.shape == (2 * side, 2 * side)
    assert (got[:, 2 * (edge - reach) : 2 * (edge + reach)] == -30).all()
    assert (got[:, : 2 * (edge - reach)] == 0).all()
    assert (got[:, 2 * (edge + reach) :] == 0).all()


@pytest.mark.parametrize("level", [-30.0, 0.0, 30.0])
def test_of_hq_only_the_detail_is_added_whatever_its_level(level):
    side, edge = 32, 16
    plain = mask(edge, side=side)[None, None]
    hq = torch.full((1, 1, 2 * side, 2 * side), level)
    assert torch.allclose(hq_detail(plain, hq, CONFIG), torch.zeros_like(hq), atol=1e-5)
    # A cell beside the border stands out from its block
    hq[0, 0, 24, 2 * edge + 1] += 1.0
    added = hq_detail(plain, hq, CONFIG)[0, 0]
    assert added[24, 2 * edge + 1] == added.max()
    assert CONFIG.hq_gain * (1 - 4 / CONFIG.hq_block**2) < added.max() < CONFIG.hq_gain
    # and one far from it is not asked
    hq[0, 0, 24, 1] += 1.0
    assert hq_detail(plain, hq, CONFIG)[0, 0, 24, 1] == 0


def _prior(similarity, *, known=True):
    prior = torch.zeros(1, PRIOR_CHANNELS, SIDE, SIDE)
    prior[:, PriorChannel.FIRST_FOREGROUND] = similarity
    prior[:, PriorChannel.FIRST_KNOWN] = float(known)
    return prior


def test_what_a_mask_covers_is_the_object_if_it_is_like_it():
    masks = mask(4)[None, None]
    like = {s: float(likeness(masks, _prior(s), CONFIG)) for s in (0.5, 0.6, 0.63, 0.66, 0.8)}
    assert list(like.values()) == sorted(like.values())
    assert like[0.5] < 0.01
    assert like[0.63] == pytest.approx(0.5, abs=1e-4)
    assert like[0.8] > 0.99
    assert float(likeness(masks, _prior(0.5, known=False), CONFIG)) == 1, (
        "without a first frame there is nothing to be like"
    )
    # Only what is under the mask counts
    apart = _prior(0.2)
    apart[:, PriorChannel.FIRST_FOREGROUND, :, :4] = 0.8
    assert float(likeness(masks, apart, CONFIG)) > 0.99


def test_a_part_stays_whole_if_the_other_mask_has_a_pixel_of_it():
    masks, others = torch.zeros(2, 8, 8, dtype=torch.bool), torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 0:2, 0:2] = masks[0, 5:8, 5:8] = masks[1] = True
    others[0, 1, 1] = others[0, 3, 3] = True

    got = connected_to(masks, others)
    assert bool(got[0, 0:2, 0:2].all())
    assert int(got[0].sum()) == 4
    assert not got[1].any()
