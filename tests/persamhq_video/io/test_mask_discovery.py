"""The mask of each video, from a folder or a pattern."""

from __future__ import annotations

import pytest

from persamhq_video.errors import InputError
from persamhq_video.io import find_mask_for


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_mask_of_a_stream_is_named_after_its_last_part(tmp_path):
    touch(tmp_path, "m/yard.png", "m/other.png")
    assert find_mask_for("rtsp://host/yard", tmp_path / "m") == tmp_path / "m" / "yard.png"
    with pytest.raises(InputError, match=r"no mask for rtsp://host/bear there; expected bear.png"):
        find_mask_for("rtsp://host/bear", tmp_path / "m")


@pytest.mark.parametrize(
    ("files", "mask", "found"),
    [
        (["m/first.png"], "m/first.png", "m/first.png"),
        (["m/bear.png", "m/cow.png"], "m", "m/bear.png"),
        (["m/bear.png", "m/bear.jpg"], "m", "m/bear.png"),
        (["m/bear.TIF"], "m", "m/bear.TIF"),
        (["m/bear/00010.png", "m/bear/00002.png"], "m", "m/bear/00002.png"),
        (["m/bear_mask.png", "m/cow_mask.png"], "m/{stem}_mask.png", "m/bear_mask.png"),
        (["m/bear_mask.png", "m/bear.png"], "m/*_mask.png", "m/bear_mask.png"),
        (["m/bear/00000.png", "m/cow/00000.png"], "m/*/00000.png", "m/bear/00000.png"),
        (["m/bear/00003.png", "m/bear/00004.png"], "m/*", "m/bear/00003.png"),
        (["m/bear-0007.png", "m/cow-0009.png"], "m/{stem}-*.png", "m/bear-0007.png"),
        (["m/bear/7.png", "m/bear/8.png"], "m/{stem}", "m/bear/7.png"),
    ],
)
@pytest.mark.parametrize("video", ["bear.mp4", "frames/bear"])
def test_the_mask_of_a_video_is_found(files, mask, found, video, tmp_path):
    touch(tmp_path, *files)
    if not video.endswith(".mp4"):
        (tmp_path / video).mkdir(parents=True)
    assert find_mask_for(tmp_path / video, str(tmp_path / mask)) == tmp_path / found


def test_a_folder_of_frames_keeps_a_dot_in_its_name(tmp_path):
    (tmp_path / "take.2").mkdir()
    touch(tmp_path, "m/take.2.png", "m/take.png")
    assert find_mask_for(tmp_path / "take.2", tmp_path / "m") == tmp_path / "m/take.2.png"


def test_brackets_in_a_name_are_no_wildcards(tmp_path):
    touch(tmp_path, "m/bear[1]-a.png", "m/bear1-a.png")
    assert find_mask_for(tmp_path / "bear[1].mp4", f"{tmp_path}/m/{{stem}}-*.png").name == "bear[1]-a.png"


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("nowhere", r"nowhere: no such mask; give an image, a folder or a pattern"),
        ("m", r"no mask for bear\.mp4 there; expected bear\.png"),
        ("m/*.png", r"no mask for bear\.mp4 there"),
        ("m/{stem}.png", r"no mask for bear\.mp4 there"),
        ("n/{stem}*.png", r"matches 2 files for bear, such as bear1\.png; expected one"),
    ],
)
def test_no_mask_or_too_many_are_refused(mask, message, tmp_path):
    touch(tmp_path, "m/cow.png", "n/bear1.png", "n/bear2.png")
    with pytest.raises(InputError, match=message):
        find_mask_for(tmp_path / "bear.mp4", str(tmp_path / mask))


def test_videos_with_their_masks_beside_them_are_told_from_frames(tmp_path):
    touch(tmp_path, "both/bear.mp4", "both/cow.mp4", "both/bear.png", "both/cow.png", "frames/00000.jpg")
    with pytest.raises(InputError, match=r"holds images, so it is a folder of frames; .* give '.*both/\*\.mp4'\)"):
        find_mask_for(tmp_path / "both", tmp_path / "both")
    with pytest.raises(InputError, match=r"a folder frames of masks$"):
        find_mask_for(tmp_path / "frames", tmp_path / "both")
