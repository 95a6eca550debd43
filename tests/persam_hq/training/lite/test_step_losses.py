import numpy as np
import pytest
import torch
import torch.nn.functional as F

from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.losses import CellSampler, mask_iou, mask_loss, point_loss
from persam_hq.types import DecoderOutput

HERE = torch.tensor([True, True])


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def output(*, hq=True, presence=True):
    return DecoderOutput(
        masks=noise(1, 2, 4, 6, 6),
        iou_predictions=noise(2, 2, 4),
        hq_masks=noise(3, 2, 1, 12, 12) if hq else None,
        presence=noise(4, 2) if presence else None,
    )


FINEST = torch.sigmoid(2 * noise(5, 2, 1, 12, 12))
TRUTH = F.avg_pool2d(FINEST, 2)
"""SAM's masks are half as fine as the HQ mask, so is what they are compared with."""


def new_losses(seed=0):
    return StepLosses(np.random.default_rng(seed))


def total(given, **options):
    losses = new_losses()
    losses.add_masks("x", given, FINEST, **{"present": HERE} | options)
    return float(losses.result(frames=1).loss)


@pytest.mark.parametrize("best_only", [False, True])
def test_the_loss_of_a_decoder_output_by_its_parts(best_only):
    given = output()
    each = mask_loss(given.masks, TRUTH, present=HERE)
    best, single = each[:, 1:].min(dim=1).values, each[:, 0]
    masks = (best + 0.3 * single if best_only else single + 0.5 * best).mean()
    iou = F.mse_loss(given.iou_predictions, mask_iou(given.masks, TRUTH))
    base = given.masks[:, :1]
    if best_only:
        base = torch.stack([given.masks[row, 1 + int(each[row, 1:].argmin())] for row in range(2)])[:, None]
    corrected = corrected_masks(base, given.hq_masks)
    hq = point_loss(corrected, FINEST, CellSampler(np.random.default_rng(0)), present=HERE).mean()
    presence = F.binary_cross_entropy_with_logits(given.presence, torch.ones(2))
    assert total(given, best_only=best_only) == pytest.approx(float(masks + iou + hq + 0.5 * presence), rel=1e-5)
    without = total(given, best_only=best_only, presence=False)
    assert without == pytest.approx(float(masks + iou + hq), rel=1e-5)


def test_a_plain_decoder_has_no_hq_loss_and_no_presence():
    assert total(output(hq=False, presence=False)) < total(output(presence=False))


def test_the_hq_mask_learns_on_top_of_the_sam_mask_and_not_through_it():
    masks = noise(1, 2, 4, 6, 6).requires_grad_()
    hq = noise(3, 2, 1, 12, 12).requires_grad_()
    iou = torch.zeros(2, 4)
    losses = new_losses()
    losses.add_masks("x", DecoderOutput(masks=masks, iou_predictions=iou, hq_masks=hq), FINEST, present=HERE)
    with_hq = torch.autograd.grad(losses.result(frames=1).loss, [masks, hq])
    losses = new_losses()
    losses.add_masks("x", DecoderOutput(masks=masks, iou_predictions=iou, hq_masks=None), FINEST, present=HERE)
    (without,) = torch.autograd.grad(losses.result(frames=1).loss, [masks])
    assert torch.allclose(with_hq[0], without)
    assert with_hq[1].abs().max() > 0


def test_the_generator_decides_where_the_hq_loss_looks_and_nothing_else():
    def losses(given):
        made = []
        for seed in (1, 1, 2):
            losses = new_losses(seed)
            losses.add_masks("x", given, FINEST, present=HERE)
            made.append(float(losses.result(frames=1).loss))
        return made

    first, again, other = losses(output())
    assert first == again != other
    assert len(set(losses(output(hq=False)))) == 1


def test_a_finer_hq_mask_is_asked_for_detail_that_sams_masks_cannot_show():
    # Columns that alternate: pooled they are all alike, only the HQ mask can tell them apart
    stripes = torch.tensor([1.0, 0.0]).repeat(6).expand(2, 1, 12, 12)
    flat = DecoderOutput(
        masks=torch.zeros(2, 4, 6, 6), iou_predictions=torch.zeros(2, 4), hq_masks=torch.zeros(2, 1, 12, 12)
    )
    right = DecoderOutput(masks=flat.masks, iou_predictions=flat.iou_predictions, hq_masks=20 * stripes - 10)
    totals, ious = [], []
    for given in (flat, right):
        losses = new_losses()
        losses.add_masks("x", given, stripes, present=HERE)
        result = losses.result(frames=1)
        totals.append(float(result.loss))
        ious.append(result.figures["iou_x_hq"])
    assert totals[1] < totals[0] - 2
    assert ious == [0.0, 1.0]


def test_figures_are_means_and_the_loss_is_a_frames():
    losses = new_losses()
    losses.add("a", torch.tensor(2.0), weight=0.5)
    losses.add("a", torch.tensor(4.0), weight=0.5)
    losses.add("b", torch.tensor(1.0), weight=3.0)
    result = losses.result(frames=4)
    assert float(result.loss) == pytest.approx((1 + 2 + 3) / 4)
    assert result.figures == pytest.approx({"loss": 1.5, "a": 3.0, "b": 1.0})
    assert list(result.figures) == ["loss", "a", "b"]


def test_the_iou_logged_is_that_of_the_objects_present():
    given, losses = output(), new_losses()
    losses.add_masks("x", given, FINEST, present=torch.tensor([False, True]))
    figures = losses.result(frames=1).figures
    assert figures["iou_x"] == pytest.approx(float(mask_iou(given.masks, TRUTH)[1, 0]))
    corrected = corrected_masks(given.masks[:, :1], given.hq_masks)
    assert figures["iou_x_hq"] == pytest.approx(float(mask_iou(corrected, FINEST)[1, 0]))
    nobody = new_losses()
    nobody.add_masks("x", given, FINEST, present=torch.tensor([False, False]))
    assert nobody.result(frames=1).figures["iou_x"] == 1.0
    assert "iou_x_hq" not in nobody.result(frames=1).figures
