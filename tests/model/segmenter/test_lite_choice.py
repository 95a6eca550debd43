import pytest
import torch

from persam_hq.segmenter.lite_choice import agreement, hq_where_it_agrees, mask_by_agreement
from persam_hq.types import DecoderOutput

SIDE = 8


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
    expected = torch.zeros(1, SIDE, SIDE)
    expected[..., :4] = 1
    assert mask_by_agreement(output(columns, iou), expected).tolist() == [chosen]


def test_hq_is_kept_only_where_the_mask_stays_what_it_is():
    plain = torch.stack([mask(4), mask(4)])[:, None]
    correction = torch.zeros(2, 1, 2 * SIDE, 2 * SIDE)
    correction[0, :, 0, :8] = -30.0  # a row less: the same mask
    correction[1, :, :, 4:8] = -30.0  # half of it gone: another mask
    got = hq_where_it_agrees(plain, correction)
    assert got.shape == (2, 1, 2 * SIDE, 2 * SIDE)
    assert not (got[0, 0, 0] > 0).any()
    assert torch.equal(got[1] > 0, mask(8, side=2 * SIDE)[None] > 0)
