import numpy as np
import pytest
import torch
from stand_in_lite import tiny_lite

from persam_hq.training.chances import Chances
from persam_hq.training.frames import encode_clips
from persam_hq.training.image_prompts import KINDS, jitter_boxes, noisy_mask, prompt_frame, random_points
from persam_hq.training.scores import Scores


def chances(seed=0, batch=2):
    return Chances(np.random.default_rng(seed), batch=batch)


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
    assert noisy.unique().tolist() == [-5, 5]
    wrong = (noisy > 0) != (truth > 0.5)
    assert 0 < wrong.float().mean() < 0.2
    assert not wrong[..., 10:14, 10:14].any()
    assert not wrong[..., :2, :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_prompt_is_decoded_twice_and_scored(kind, monkeypatch):
    model, drawn = tiny_lite(), chances()
    monkeypatch.setattr(Chances, "pick", lambda self, weights: kind)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 1, 3, 64, 64))).float()
    masks = torch.zeros(2, 1, 64, 64)
    masks[:, 0, 10:40, 12:50] = 1
    (frame,) = encode_clips(model, frames, masks)
    scores, asked = Scores(), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda seen, **options: asked.append(options) or decode(seen, **options))
    prompt_frame(model, frame, drawn, scores)

    figures = scores.result(frames=1).figures
    assert set(figures) == {"loss", f"iou_{kind}", f"iou_{kind}_hq", f"iou_{kind}+", f"iou_{kind}+_hq"}
    first, second = (options["prompts"] for options in asked)
    given = [name for name in ("points", "boxes", "masks") if getattr(first, name) is not None]
    assert given == [{"point": "points", "points": "points", "box": "boxes", "mask": "masks"}[kind]]
    assert (second.points is None) == (first.points is None)
    assert second.boxes is not None
    assert second.masks.shape == (2, 1, 24, 24)
    assert not second.masks.requires_grad
    assert all(options["prior"].abs().max() == 0 for options in asked)
