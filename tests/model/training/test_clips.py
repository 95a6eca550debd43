import numpy as np
import pytest

from persam_hq.training.clips import FEWEST_PIXELS, photo_clip, video_clip
from persam_hq.training.sources import Clip, Photo, load_clips, load_label_maps


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
            return video_clip(video, length=3, size=64, rng=rng)
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
    one, other, different = make(3), make(3), make(4)
    assert np.array_equal(one.frames, other.frames)
    assert np.array_equal(one.masks, other.masks)
    assert not np.array_equal(one.frames, different.frames)


def test_the_mask_goes_where_the_object_goes(video):
    # The square is red on grey: under the mask red exceeds the rest, whatever the colours became
    for seed in range(6):
        clip = video_clip(video, length=3, size=64, rng=np.random.default_rng(seed))
        for image, mask in zip(clip.frames.astype(float), clip.masks.astype(bool), strict=True):
            excess = image[..., 0] - image[..., 1:].mean(axis=-1)
            assert excess[mask].mean() > excess[~mask].mean() + 40


@pytest.mark.parametrize(
    ("side", "reason"), [(0, "no object"), (int(FEWEST_PIXELS**0.5), "fewer pixels than are asked for")]
)
def test_a_video_without_an_object_to_begin_with_gives_none(side, reason):
    labels = np.zeros((40, 40), np.uint8)
    labels[:side, :side] = 1
    clip = Clip(name=reason, frames=(np.zeros((40, 40, 3), np.uint8),) * 5, labels=(labels,) * 5)
    assert video_clip(clip, length=3, size=32, rng=np.random.default_rng(0)) is None


def test_a_video_shorter_than_a_clip_repeats_its_frames(video):
    short = Clip(name="short", frames=video.frames[:2], labels=video.labels[:2])
    assert video_clip(short, length=3, size=32, rng=np.random.default_rng(0)).frames.shape[0] == 3


def test_a_photo_without_a_target_gives_none(photos):
    empty = Photo(image=photos[0].image, labels=(np.zeros((72, 96), np.uint8),), background=True)
    assert photo_clip(empty, others=photos, length=3, size=32, rng=np.random.default_rng(0)) is None
