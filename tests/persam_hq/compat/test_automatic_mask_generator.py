import numpy as np
import pytest
import torch

from persam_hq.compat import per_segment_anything, segment_anything
from persam_hq.compat.rle import area_from_rle, coco_encode_rle, masks_to_rle, rle_to_mask
from persam_hq.compat.segment_anything import SamAutomaticMaskGenerator, SamPredictor
from persam_hq.errors import InputError, ShapeError

IMAGE = np.random.default_rng(2).integers(0, 256, (24, 40, 3), dtype=np.uint8)
EVERYTHING = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1.0, "crop_nms_thresh": 1.0}
KEYS = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]


def asked_by_hand(model, points):
    """One point at a time: logits (H, W), predicted IoU and point of every mask."""
    predictor = SamPredictor(model)
    predictor.set_image(IMAGE)
    found = []
    for point in points:
        logits, scores, _ = predictor.predict(np.array([point]), np.array([1]), return_logits=True)
        found += [(one, score, point) for one, score in zip(logits, scores, strict=True)]
    return found


@pytest.fixture(params=["square_plain", "square"], ids=["SAM", "HQ"])
def model(request):
    return request.getfixturevalue(request.param)


def test_without_thresholds_every_point_is_answered(model):
    records = SamAutomaticMaskGenerator(model, points_per_side=3, points_per_batch=4, **EVERYTHING).generate(IMAGE)
    middles = [((i + 0.5) * 40 / 3, (j + 0.5) * 8) for j in range(3) for i in range(3)]
    wanted = sorted(asked_by_hand(model, middles), key=lambda item: -item[1])
    assert len(records) == len(wanted) == 9 * (1 if model.has_hq else 3)
    for record, (logits, score, point) in zip(records, wanted, strict=True):
        assert list(record) == KEYS
        assert record["predicted_iou"] == pytest.approx(score, abs=1e-5)
        mask = record["segmentation"]
        assert np.mean(mask != (logits > 0)) < 0.01  # a batch rounds otherwise than one point alone
        assert record["point_coords"][0] == pytest.approx(point)
        assert record["crop_box"] == [0, 0, 40, 24]
        assert record["area"] == mask.sum()
        y, x = np.nonzero(mask)
        box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()] if len(x) else [0, 0, 0, 0]
        assert record["bbox"] == box


def test_thresholds(square_plain):
    everything = SamAutomaticMaskGenerator(square_plain, points_per_side=4, **EVERYTHING).generate(IMAGE)
    middle = float(np.median([iou for record in everything if (iou := record["predicted_iou"]) > 0]))
    good = SamAutomaticMaskGenerator(square_plain, 4, **EVERYTHING | {"pred_iou_thresh": middle}).generate(IMAGE)
    assert [record["predicted_iou"] for record in good] == [
        record["predicted_iou"] for record in everything if record["predicted_iou"] > middle
    ]
    steady = sorted(record["stability_score"] for record in everything)[20]
    found = SamAutomaticMaskGenerator(square_plain, 4, **EVERYTHING | {"stability_score_thresh": steady}).generate(
        IMAGE
    )
    assert len(found) == sum(record["stability_score"] >= steady for record in everything)


def overlap(first, second):
    (x0, y0, w0, h0), (x1, y1, w1, h1) = first, second
    width = max(0, min(x0 + w0, x1 + w1) - max(x0, x1))
    height = max(0, min(y0 + h0, y1 + h1) - max(y0, y1))
    union = w0 * h0 + w1 * h1 - width * height
    return width * height / union if union else 0.0


def test_alike_boxes_are_kept_once(square_plain):
    everything = SamAutomaticMaskGenerator(square_plain, 4, **EVERYTHING).generate(IMAGE)
    found = SamAutomaticMaskGenerator(square_plain, 4, **EVERYTHING | {"box_nms_thresh": 0.8}).generate(IMAGE)
    kept = []
    for record in everything:
        if all(overlap(record["bbox"], other["bbox"]) <= 0.8 for other in kept):
            kept.append(record)
    assert len(kept) < len(everything)
    assert [record["point_coords"] for record in found] == [record["point_coords"] for record in kept]


def test_crops_are_looked_at_too(square_plain):
    generator = SamAutomaticMaskGenerator(
        square_plain, 4, crop_n_layers=1, crop_n_points_downscale_factor=2, **EVERYTHING
    )
    assert [len(grid) for grid in generator.point_grids] == [16, 4]
    records = generator.generate(IMAGE)
    boxes = {tuple(record["crop_box"]) for record in records}
    assert (0, 0, 40, 24) in boxes
    for record in records:
        (x, y), (left, top, width, height) = record["point_coords"][0], record["crop_box"]
        assert left < x < left + width
        assert top < y < top + height
        assert record["segmentation"].shape == (24, 40)
        outside = record["segmentation"].copy()
        outside[top : top + height, left : left + width] = False
        assert not outside.any()
    sizes = [record["crop_box"][2] * record["crop_box"][3] for record in records]
    assert sizes == sorted(sizes)  # of the smaller crops first: they are preferred


def test_output_modes(square_plain):
    modes = ("binary_mask", "uncompressed_rle", "coco_rle")
    masks, runs, strings = (
        SamAutomaticMaskGenerator(square_plain, 2, output_mode=mode, **EVERYTHING).generate(IMAGE) for mode in modes
    )
    for mask, run, string in zip(masks, runs, strings, strict=True):
        assert run["segmentation"] == masks_to_rle(torch.from_numpy(mask["segmentation"].copy())[None])[0]
        assert string["segmentation"] == coco_encode_rle(run["segmentation"])
        assert np.array_equal(rle_to_mask(run["segmentation"]), mask["segmentation"])
        assert mask["area"] == area_from_rle(run["segmentation"])


def test_small_regions_are_removed(square_plain):
    area = 30
    generator = SamAutomaticMaskGenerator(square_plain, 4, min_mask_region_area=area, **EVERYTHING)
    before = SamAutomaticMaskGenerator(square_plain, 4, **EVERYTHING).generate(IMAGE)
    records = generator.generate(IMAGE)
    assert sum(record["area"] for record in records) != sum(record["area"] for record in before)
    for record in records:
        y, x = np.nonzero(record["segmentation"])
        if len(x):
            box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
            assert record["bbox"] == box
        assert record["area"] == len(x)


def test_point_grids_of_ones_own(square_plain):
    grid = np.array([[0.5, 0.5], [0.1, 0.9]])
    records = SamAutomaticMaskGenerator(square_plain, None, point_grids=[grid], **EVERYTHING).generate(IMAGE)
    points = {tuple(round(value, 6) for value in record["point_coords"][0]) for record in records}
    assert points == {(20.0, 12.0), (4.0, 21.6)}


def test_one_mask_a_point(square_plain):
    records = SamAutomaticMaskGenerator(square_plain, 3, **EVERYTHING).generate(IMAGE, multimask_output=False)
    assert len(records) == 9


def test_nothing_may_be_found(square_plain):
    strict = SamAutomaticMaskGenerator(square_plain, 2, pred_iou_thresh=1e6, crop_n_layers=1, min_mask_region_area=5)
    assert strict.generate(IMAGE) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"points_per_side": None}, "points_per_side or point_grids"),
        ({"point_grids": [np.zeros((1, 2))]}, "points_per_side or point_grids"),
        (
            {"points_per_side": None, "point_grids": [np.zeros((1, 2))], "crop_n_layers": 1},
            "1 point_grids for 2 layers",
        ),
        ({"output_mode": "png"}, "unknown output_mode 'png'; known: binary_mask"),
    ],
)
def test_arguments_that_make_no_sense(square_plain, arguments, said):
    with pytest.raises(InputError, match=said):
        SamAutomaticMaskGenerator(square_plain, **arguments)


def test_what_is_no_image(square_plain):
    with pytest.raises(ShapeError, match=r"expected an image \(H, W, 3\)"):
        SamAutomaticMaskGenerator(square_plain).generate(IMAGE[..., 0])


def test_both_packages_have_it():
    assert segment_anything.SamAutomaticMaskGenerator is per_segment_anything.SamAutomaticMaskGenerator
