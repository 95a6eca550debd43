import math

import cv2
import numpy as np
import pytest

from persam_hq.training.data.warps import (
    LARGEST_ZOOM,
    PADDING,
    PANNING_SHARE,
    ZOOMING_SHARE,
    CameraPath,
    affine_map,
    camera_path,
    linear_map,
    motion_blur,
    object_crop,
    random_deformation,
    random_motion,
    warp,
    warp_mask,
)


def test_a_linear_map_stretches_turns_and_flips():
    quarter = linear_map(scale=2, angle=math.pi / 2, aspect=4)
    assert np.allclose(quarter @ [1, 0], [0, 4], atol=1e-9)
    assert np.allclose(quarter @ [0, 1], [-1, 0], atol=1e-9)
    assert np.linalg.det(linear_map(scale=3, angle=0.4, aspect=1.7)) == pytest.approx(9)
    assert np.linalg.det(linear_map(scale=3, angle=0.4, flip=True)) == pytest.approx(-9)


def test_a_placed_map_takes_one_point_to_another():
    matrix = affine_map(linear_map(scale=2, angle=0.3), source=(5, 7), destination=(30, 20))
    assert matrix.shape == (2, 3)
    assert np.allclose(matrix @ [5, 7, 1], [30, 20])


@pytest.mark.parametrize("seed", range(12))
def test_a_crop_shows_most_of_its_object(seed):
    mask = np.zeros((200, 300), np.uint8)
    mask[60:140, 100:220] = 1
    matrix = object_crop(mask, 64, np.random.default_rng(seed), span=(0.3, 0.6))
    seen = warp_mask(mask, matrix, 64)
    area = mask.sum() * abs(np.linalg.det(matrix[:, :2]))
    assert seen.sum() > 0.6 * area
    assert set(np.unique(seen)) <= {0, 1}


def test_a_small_object_is_enlarged_twice_at_most():
    mask = np.zeros((50, 50), np.uint8)
    mask[20:23, 20:23] = 1
    matrix = object_crop(mask, 256, np.random.default_rng(0), span=(0.9, 0.95))
    assert math.sqrt(abs(np.linalg.det(matrix[:, :2]))) == pytest.approx(2.0)


def crops(mask, *, size=128, span=(0.25, 0.9), seeds=60):
    """The crops around the object of `mask`, mirrored ones apart: {mirrored: matrices}."""
    made = {False: [], True: []}
    for seed in range(seeds):
        matrix = object_crop(mask, size, np.random.default_rng(seed), span=span)
        made[bool(np.linalg.det(matrix[:, :2]) < 0)].append(matrix)
    return made


def scale_of(matrix):
    return math.sqrt(abs(np.linalg.det(matrix[:, :2])))


def mask_of(size, rows, columns):
    mask = np.zeros(size, np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    return mask


@pytest.mark.parametrize("mirrored", [False, True], ids=["as it is", "mirrored"])
@pytest.mark.parametrize("columns", [(30, 90), (170, 230), (330, 390)], ids=["left", "middle", "right"])
def test_the_image_fills_the_crop(mirrored, columns):
    mask = mask_of((200, 400), (80, 120), columns)
    covered = [warp_mask(np.ones_like(mask), matrix, 128).mean() for matrix in crops(mask)[mirrored]]
    assert np.mean(covered) > 0.96  # the rest is what the turn leaves of the corners
    assert min(covered) > 0.8


@pytest.mark.parametrize(
    ("size", "rows", "columns", "smallest", "largest"),
    [
        pytest.param((200, 300), (90, 110), (140, 160), 128 / 200, 2.0, id="down to the shorter side of the image"),
        pytest.param((200, 300), (60, 140), (60, 240), 0.25 * 128 / 180, 0.9 * 128 / 180, id="as the object allows"),
        pytest.param((200, 300), (10, 190), (10, 190), 128 / 200, 0.9 * 128 / 180, id="the object takes the image"),
        pytest.param((40, 50), (15, 25), (20, 30), 2.0, 2.0, id="a small image at most twice"),
    ],
)
def test_how_much_a_crop_enlarges(size, rows, columns, smallest, largest):
    scales = [scale_of(matrix) for made in crops(mask_of(size, rows, columns)).values() for matrix in made]
    assert min(scales) >= smallest - 1e-6
    assert max(scales) <= largest + 1e-6


def test_an_image_that_is_too_small_lies_in_the_middle():
    mask = mask_of((40, 50), (15, 25), (20, 30))
    for matrix in crops(mask)[False] + crops(mask)[True]:
        assert np.allclose(matrix @ [25, 20, 1], [64, 64])


def test_an_object_has_every_place_in_the_crop_that_the_image_allows():
    # In the middle of a large image nothing is in the way; at its edge the crop ends there
    free = np.array([matrix @ [250, 250, 1] for matrix in crops(mask_of((500, 500), (235, 265), (235, 265)))[False]])
    assert free.min() < 45
    assert free.max() > 83
    corner = mask_of((500, 500), (0, 30), (0, 30))
    for matrix in crops(corner)[False]:
        assert (matrix @ [15, 15, 1]).max() <= 15 * scale_of(matrix) + 1e-6


def test_outside_of_the_image_lies_what_normalises_to_zero():
    moved = affine_map(np.eye(2), source=(0, 0), destination=(40, 0))
    out = warp(np.full((50, 50, 3), 200, np.uint8), moved, 60)
    assert (out[:, :39] == PADDING).all()
    assert (out[:49, 42:] == 200).all()


def test_what_shrinks_much_is_averaged_first():
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (400, 400, 3)).astype(np.uint8)
    small = warp(noisy, affine_map(np.eye(2) / 8, source=(0, 0), destination=(0, 0)), 48)
    sampled = cv2.warpAffine(noisy, np.eye(2, 3) / 8, (48, 48))
    assert small[4:-4, 4:-4].std() < 0.4 * sampled[4:-4, 4:-4].std()


def test_jolts_are_small_and_about_the_middle():
    rng = np.random.default_rng(1)
    moved = np.array([(random_motion(100, rng, strength=1.0) @ [50, 50, 1])[:2] for _ in range(300)])
    assert np.abs(moved.mean(axis=0) - 50).max() < 1.5
    assert 3 < moved.std() < 7
    assert np.allclose(random_motion(100, rng, strength=0.0), np.eye(3), atol=1e-9)


def test_a_bend_is_smooth():
    made = random_deformation(64, np.random.default_rng(2), strength=0.012)
    y, x = np.mgrid[0:64, 0:64]
    for got, still in ((made.x, x), (made.y, y)):
        displacement = got - still
        assert 0 < np.abs(displacement).max() < 5
        assert np.abs(np.diff(displacement, axis=0)).max() < 0.4


@pytest.mark.parametrize("length", [2, 3, 9])
def test_a_camera_begins_where_the_crop_was_made_and_goes_each_way(length):
    paths = [camera_path(length, 100, np.random.default_rng(seed)) for seed in range(200)]
    assert all(len(path.matrices) == length for path in paths)
    assert all(np.allclose(path.matrices[0], np.eye(3)) for path in paths)
    zooms = [path.factor for path in paths if path.factor != 1]
    assert len(zooms) / 200 == pytest.approx(ZOOMING_SHARE, abs=0.1)
    assert sum(path.pans for path in paths) / 200 == pytest.approx(PANNING_SHARE, abs=0.1)
    assert 1 / LARGEST_ZOOM <= min(zooms) < 1 / 4
    assert 4 < max(zooms) <= LARGEST_ZOOM


def test_a_zoom_reaches_its_factor_on_the_last_frame_or_in_the_middle():
    reached = {"last": 0, "middle": 0}
    for seed in range(200):
        path = camera_path(5, 100, np.random.default_rng(seed))
        if path.factor == 1 or path.pans:
            continue
        scales = [math.sqrt(abs(np.linalg.det(matrix[:2, :2]))) for matrix in path.matrices]
        # A shake of 3 % or so comes to each frame
        ends = {"last": scales[4], "middle": scales[2]}
        found = [name for name, scale in ends.items() if abs(math.log(scale / path.factor)) < 0.12]
        assert found
        reached[found[0]] += 1
    assert reached["last"] > reached["middle"] > 5


def test_a_camera_that_pans_takes_the_middle_of_the_crop_far_away():
    for seed in range(100):
        path = camera_path(5, 100, np.random.default_rng(seed))
        if path.pans:
            moved = [np.linalg.norm((matrix @ [50, 50, 1])[:2] - 50) for matrix in path.matrices]
            assert max(moved) > 50


@pytest.mark.parametrize(
    ("factor", "span", "expected"),
    [
        (1.0, (0.2, 0.9), (0.2, 0.9)),
        (6.0, (0.1, 0.9), (0.1, 0.2)),
        (6.0, (0.3, 0.9), (0.2, 0.2)),
        (1 / 5, (0.2, 0.9), (0.5, 0.9)),
        (1 / 5, (0.2, 0.4), (0.4, 0.4)),
    ],
)
def test_an_object_leaves_room_for_the_zoom(factor, span, expected):
    path = CameraPath(matrices=(np.eye(3),), factor=factor, pans=False)
    assert path.span(span) == pytest.approx(expected)


def test_motion_blur_smears_along_one_direction_and_keeps_the_light():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 240
    spreads = []
    for seed in range(12):
        blurred = motion_blur(image, np.random.default_rng(seed), longest=12)[..., 0].astype(float)
        y, x = np.nonzero(blurred)
        assert blurred.sum() == pytest.approx(240, abs=12)
        spreads.append(math.hypot(np.ptp(y), np.ptp(x)))
    assert 1 <= min(spreads) < max(spreads) <= 16
    assert np.array_equal(
        motion_blur(np.full((9, 9, 3), 50, np.uint8), np.random.default_rng(0), longest=4), 50 + 0 * image[:9, :9]
    )


def test_what_lies_outside_is_padding_or_mirrored():
    image = np.arange(40, dtype=np.uint8).reshape(1, 40, 1).repeat(40, 0).repeat(3, 2)
    shift = np.array([[1.0, 0, 10], [0, 1, 0]])
    assert (warp(image, shift, 40)[:, :9] == 127).all()
    assert warp(image, shift, 40, mirrored=True)[5, 8, 0] == 2
