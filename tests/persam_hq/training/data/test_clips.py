import numpy as np
import pytest

from persam_hq.training.data.clips import (
    FRAME_STEPS,
    JUMP_SHARE,
    MIN_OBJECT_PIXELS,
    _draw_frames,
    photo_clip,
    recolour,
    video_clip,
)
from persam_hq.training.data.datasets import Clip, Photo, load_clips, load_label_maps


@pytest.fixture(scope="module")
def video(clips_root):
    return load_clips(clips_root, ("square",))[0]


@pytest.fixture(scope="module")
def photos(photos_root):
    return load_label_maps(photos_root, background=True)


@pytest.fixture(params=["video", "photo"])
def make(request, video, photos):
    def clip(seed):
        rng = np.random.default_rng(seed)
        if request.param == "video":
            return video_clip(video, others=photos, length=3, size=64, rng=rng)
        return photo_clip(photos[0], others=photos, length=3, size=64, rng=rng)

    return clip


def test_a_clip_has_frames_masks_and_an_object_to_begin_with(make):
    made = [clip for clip in map(make, range(12)) if clip is not None]
    assert len(made) >= 8
    for clip in made:
        assert clip.frames.shape == (3, 64, 64, 3)
        assert clip.masks.shape == (3, 64, 64)
        assert clip.frames.dtype == clip.masks.dtype == np.uint8
        assert clip.masks[0].any()
        assert set(np.unique(clip.masks)) <= {0, 1}


def test_the_same_generator_gives_the_same_clip(make):
    one, other, different = (
        next(c for c in map(make, seeds) if c) for seeds in (range(3, 9), range(3, 9), range(9, 15))
    )
    assert np.array_equal(one.frames, other.frames)
    assert np.array_equal(one.masks, other.masks)
    assert not np.array_equal(one.frames, different.frames)


@pytest.mark.parametrize("recomposed", [0.0, 1.0], ids=["where it was", "in other surroundings"])
def test_the_mask_goes_where_the_object_goes(video, photos, monkeypatch, recomposed):
    # The square is red on grey, or over grey photos: under the mask red exceeds the rest, whatever the colours became
    monkeypatch.setattr("persam_hq.training.data.clips.RECOMPOSED_SHARE", recomposed)
    looked_at = 0
    for seed in range(8):
        clip = video_clip(video, others=photos, length=3, size=64, rng=np.random.default_rng(seed))
        for image, mask in zip(clip.frames.astype(float), clip.masks.astype(bool), strict=True):
            excess = image[..., 0] - image[..., 1:].mean(axis=-1)
            if mask.sum() > MIN_OBJECT_PIXELS:
                looked_at += 1
                assert excess[mask].mean() > excess[~mask].mean() + 40
    assert looked_at > 16


def green_photos():
    labels = np.zeros((60, 80), np.uint8)
    labels[20:40, 20:50] = 1
    return [Photo(image=np.full((60, 80, 3), (0, 230, 0), np.uint8), labels=(labels,), background=True)]


@pytest.mark.parametrize(("recomposed", "low", "high"), [(0.0, 0.0, 0.0), (1.0, 0.6, 0.95), (0.5, 0.15, 0.6)])
def test_the_share_of_the_clips_in_other_surroundings(video, monkeypatch, recomposed, low, high):
    monkeypatch.setattr("persam_hq.training.data.clips.RECOMPOSED_SHARE", recomposed)
    green = 0
    for seed in range(40):
        clip = video_clip(video, others=green_photos(), length=2, size=48, rng=np.random.default_rng(seed))
        image = clip.frames[0].astype(int)
        green += bool((image[..., 1] > 100 + image[..., [0, 2]].max(axis=-1)).sum() > 20)
    assert low <= green / 40 <= high  # a distractor may lie behind the object, or look like it


def test_without_photos_a_video_keeps_its_surroundings(video, monkeypatch):
    monkeypatch.setattr("persam_hq.training.data.clips.RECOMPOSED_SHARE", 1.0)
    kept = video_clip(video, others=[], length=3, size=64, rng=np.random.default_rng(0))
    other = video_clip(video, others=green_photos(), length=3, size=64, rng=np.random.default_rng(0))
    assert np.array_equal(kept.masks[0], other.masks[0])
    assert not np.array_equal(kept.frames[0], other.frames[0])


@pytest.mark.parametrize("jumps", [0.0, 1.0])
def test_frames_are_drawn_evenly_and_the_first_may_be_any_other(monkeypatch, jumps):
    monkeypatch.setattr("persam_hq.training.data.clips.JUMP_SHARE", jumps)
    steps, jumped = set(), 0
    for seed in range(150):
        order = _draw_frames(60, 4, np.random.default_rng(seed))
        assert len(order) == 4
        assert 0 <= min(order) <= max(order) < 60
        distances = np.diff(order[1:])
        assert distances[0] == distances[1]
        steps.add(int(distances[0]))
        jumped += order[1] - order[0] != distances[0]
    assert steps == {sign * step for step in FRAME_STEPS for sign in (1, -1)}
    assert jumped == 0 if jumps == 0 else jumped > 130


def test_how_often_clips_jump_and_how_far_frames_are_apart():
    drawn = [_draw_frames(60, 3, np.random.default_rng(seed)) for seed in range(600)]
    jumped = np.mean([order[1] - order[0] != order[2] - order[1] for order in drawn])
    assert jumped == pytest.approx(JUMP_SHARE, abs=0.06)
    steps = [abs(order[2] - order[1]) for order in drawn]
    assert {step: steps.count(step) / 600 for step in FRAME_STEPS} == pytest.approx(FRAME_STEPS, abs=0.06)
    assert sum(FRAME_STEPS.values()) == pytest.approx(1)


@pytest.mark.parametrize(("count", "length"), [(1, 3), (2, 3), (4, 4), (9, 8)])
def test_a_short_video_is_gone_through_more_slowly(count, length):
    for seed in range(40):
        order = _draw_frames(count, length, np.random.default_rng(seed))
        assert len(order) == length
        assert 0 <= min(order) <= max(order) < count


def test_a_clip_keeps_its_colours_in_step():
    frames = np.random.default_rng(0).integers(40, 200, (1, 24, 24, 3)).astype(np.uint8).repeat(4, axis=0)
    made = np.stack([recolour(frames, np.random.default_rng(seed)) for seed in range(30)])
    assert made.shape == (30, *frames.shape)
    means = made.mean(axis=(2, 3, 4))
    within, between = means.std(axis=1).mean(), means.mean(axis=1).std()
    assert 0 < within < between / 2


@pytest.mark.parametrize(
    ("side", "reason"), [(0, "no object"), (int(MIN_OBJECT_PIXELS**0.5), "fewer pixels than are asked for")]
)
def test_a_video_without_an_object_to_begin_with_gives_none(side, reason):
    labels = np.zeros((40, 40), np.uint8)
    labels[:side, :side] = 1
    clip = Clip(name=reason, frames=(np.zeros((40, 40, 3), np.uint8),) * 5, labels=(labels,) * 5)
    assert video_clip(clip, others=[], length=3, size=32, rng=np.random.default_rng(0)) is None


def test_a_video_shorter_than_a_clip_repeats_its_frames(video):
    short = Clip(name="short", frames=video.frames[:2], labels=video.labels[:2])
    assert video_clip(short, others=[], length=3, size=32, rng=np.random.default_rng(0)).frames.shape[0] == 3


def test_a_photo_without_a_target_gives_none(photos):
    empty = Photo(image=photos[0].image, labels=(np.zeros((72, 96), np.uint8),), background=True)
    assert photo_clip(empty, others=photos, length=3, size=32, rng=np.random.default_rng(0)) is None
