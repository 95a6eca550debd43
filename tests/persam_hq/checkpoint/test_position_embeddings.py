import pytest
import torch
from torch.nn import functional as F

from persam_hq.checkpoint.position_embeddings import ABSOLUTE, fit_positions

GLOBAL = "image_encoder.blocks.1.attn.rel_pos_h"
WINDOW = "image_encoder.blocks.0.attn.rel_pos_w"


def positions(grid, *, window=3, dtype=torch.float32):
    rows = torch.arange(grid, dtype=torch.float32)[:, None, None].expand(grid, grid, 4)
    return {
        ABSOLUTE: (rows / grid)[None].to(dtype),
        GLOBAL: torch.linspace(-1, 1, 2 * grid - 1)[:, None].repeat(1, 2).to(dtype),
        WINDOW: torch.linspace(5, 6, 2 * window - 1)[:, None].repeat(1, 2).to(dtype),
        "mask_decoder.iou_token.weight": torch.ones(1, 5, dtype=dtype),
    }


@pytest.mark.parametrize(("stored", "wanted"), [(8, 16), (16, 8), (64, 14), (14, 64), (4, 3), (3, 4)])
def test_the_grid_becomes_the_models(stored, wanted):
    tensors, expected = positions(stored), positions(wanted)
    fitted = fit_positions(tensors, expected)
    assert {key: value.shape for key, value in fitted.items()} == {k: v.shape for k, v in expected.items()}
    for key in (WINDOW, "mask_decoder.iou_token.weight"):
        assert fitted[key] is tensors[key]


def test_a_window_as_wide_as_the_grid_stays():
    fitted = fit_positions(positions(3, window=3), positions(5, window=3))
    assert len(fitted[GLOBAL]) == 9
    assert len(fitted[WINDOW]) == 5


def test_values_are_interpolated_as_published_variants_do():
    tensors, expected = positions(8), positions(12)
    fitted = fit_positions(tensors, expected)
    bicubic = F.interpolate(tensors[ABSOLUTE].permute(0, 3, 1, 2), (12, 12), mode="bicubic")
    linear = F.interpolate(tensors[GLOBAL].reshape(1, 15, 2).permute(0, 2, 1), 23, mode="linear")
    assert torch.equal(fitted[ABSOLUTE], bicubic.permute(0, 2, 3, 1))
    assert torch.equal(fitted[GLOBAL], linear[0].T)
    # What falls towards the ends still does: nothing is turned round
    assert (fitted[GLOBAL].diff(dim=0) >= 0).all()
    assert (fitted[ABSOLUTE][0, 1:-1].diff(dim=0) > 0).all()


def test_the_same_grid_leaves_the_very_tensors():
    tensors = positions(8)
    assert all(value is tensors[key] for key, value in fit_positions(tensors, positions(8)).items())


def test_half_precision_stays_half():
    fitted = fit_positions(positions(8, dtype=torch.float16), positions(4))
    assert {value.dtype for value in fitted.values()} == {torch.float16}


@pytest.mark.parametrize(
    "shape", [(1, 8, 9, 4), (1, 64, 4), (1, 8, 8, 5)], ids=["not square", "with class token", "another width"]
)
def test_what_is_no_other_size_of_the_same_is_left_for_the_caller_to_name(shape):
    tensors = positions(8) | {ABSOLUTE: torch.zeros(shape)}
    assert all(value is tensors[key] for key, value in fit_positions(tensors, positions(4)).items())


def test_models_without_them_are_left_alone():
    tensors = {"image_encoder.patch_embed.seq.0.c.weight": torch.zeros(1)}
    assert fit_positions(tensors, positions(4)) == tensors
    assert fit_positions(tensors, tensors) == tensors
