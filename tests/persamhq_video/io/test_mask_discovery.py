"""The mask of each video, from a folder or a pattern."""

from __future__ import annotations

import pytest

from persamhq_video.errors import InputError
from persamhq_video.io import FirstFrame, find_mask_for


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_mask_of_a_stream_is_named_after_its_last_part(tmp_path):
    touch(tmp_path, "m/yard.png", "m/other.png")
    assert find_mask_for("rtsp://host/yard", tmp_path / "m").path == tmp_path / "m" / "yard.png"
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
    assert find_mask_for(tmp_path / video, str(tmp_path / mask)).path == tmp_path / found


def test_a_folder_of_frames_keeps_a_dot_in_its_name(tmp_path):
    (tmp_path / "take.2").mkdir()
    touch(tmp_path, "m/take.2.png", "m/take.png")
    assert find_mask_for(tmp_path / "take.2", tmp_path / "m").path == tmp_path / "m/take.2.png"


def test_brackets_in_a_name_are_no_wildcards(tmp_path):
    touch(tmp_path, "m/bear[1]-a.png", "m/bear1-a.png")
    assert find_mask_for(tmp_path / "bear[1].mp4", f"{tmp_path}/m/{{stem}}-*.png").path.name == "bear[1]-a.png"


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


FRAMES = tuple(f"{number:05d}" for number in range(10))


@pytest.mark.parametrize(
    ("masks", "first", "found"),
    [
        # Frames with names of their own
        (["00000", "00003", "00009"], FirstFrame(3, FRAMES), "00003"),
        (["00000"], FirstFrame(0, FRAMES), "00000"),
        (["3", "4"], FirstFrame(3, FRAMES), "3"),
        (["frame_0003", "frame_0004"], FirstFrame(3, FRAMES), "frame_0003"),
        (["00003_mask", "00004_mask"], FirstFrame(3, FRAMES), "00003_mask"),
        (["f7", "f8"], FirstFrame(1, ("f6", "f7", "f8")), "f7"),
        # Frames of a video file count from 0; masks may count from 1
        (["00000", "00040"], FirstFrame(40), "00040"),
        (["0001", "0002"], FirstFrame(0), "0001"),
        (["bear_00000", "bear_00005"], FirstFrame(5), "bear_00005"),
        (["mask_0003", "mask_0004"], FirstFrame(3, FRAMES), "mask_0003"),
        (["bear_mask_00000", "bear_mask_00005"], FirstFrame(5), "bear_mask_00005"),
        # Names that say nothing of a frame
        (["first"], FirstFrame(3, FRAMES), "first"),
        (["object1"], FirstFrame(3, FRAMES), "object1"),
        (["first", "00005"], FirstFrame(0, FRAMES), "first"),
    ],
)
def test_of_a_folder_of_masks_that_of_the_first_frame_is_taken(masks, first, found, tmp_path):
    touch(tmp_path, *(f"m/bear/{name}.png" for name in masks))
    mask = find_mask_for(tmp_path / "bear.mp4", tmp_path / "m", first=first)
    assert mask.path.stem == found
    assert len(mask.notes) == (len(masks) > 1)
    if mask.notes:
        assert f"{len(masks) - 1} more not used" in mask.notes[0]


@pytest.mark.parametrize(
    ("masks", "first", "message"),
    [
        (["00005"], FirstFrame(0, FRAMES), r"no mask for frame 00000, .*; got 00005\.png; use --start"),
        (["00005", "00007"], FirstFrame(6, FRAMES), r"no mask for frame 00006"),
        (["f5"], FirstFrame(0, ("f0", "f1")), r"no mask for frame f0"),
        (["00005"], FirstFrame(0), r"no mask for frame 0, which the run begins with"),
        (["2", "3"], FirstFrame(0), r"no mask for frame 0"),
        (["bear_005"], FirstFrame(0), r"no mask for frame 0"),
        (["mask_0005"], FirstFrame(0, FRAMES), r"no mask for frame 00000"),
        (["label5"], FirstFrame(0), r"no mask for frame 0"),
        (["gt-seg_5"], FirstFrame(0), r"no mask for frame 0"),
        (["bear_mask_5"], FirstFrame(0), r"no mask for frame 0"),
    ],
)
def test_a_mask_of_another_frame_is_not_put_on_the_first(masks, first, message, tmp_path):
    touch(tmp_path, *(f"m/bear/{name}.png" for name in masks))
    with pytest.raises(InputError, match=message):
        find_mask_for(tmp_path / "bear.mp4", tmp_path / "m", first=first)


def test_a_mask_that_is_named_as_another_frame_is_told_of(tmp_path):
    touch(tmp_path, "m/00005.png", "m/00000.png", "m/bear.png")
    frames = FirstFrame(0, FRAMES)
    (note,) = find_mask_for(tmp_path / "bear", tmp_path / "m" / "00005.png", first=frames).notes
    assert "is named as another frame, and is put on frame 00000" in note
    assert find_mask_for(tmp_path / "bear", tmp_path / "m" / "00000.png", first=frames).notes == ()
    assert find_mask_for(tmp_path / "00005.mp4", tmp_path / "m", first=FirstFrame(0)).notes == ()


@pytest.mark.parametrize(("masks", "found"), [(["00000"], "00000"), (["00000", "00001"], "00000"), (["00002"], None)])
def test_masks_of_frames_may_lie_in_the_folder_itself(masks, found, tmp_path):
    touch(tmp_path, *(f"bear/{name}.jpg" for name in FRAMES), *(f"m/{name}.png" for name in masks))
    first = FirstFrame(0, FRAMES)
    find_mask_for(tmp_path / "bear", tmp_path / "m")
    if found is None:
        with pytest.raises(InputError, match=r"no mask for frame 00000, .*; got 00002\.png"):
            find_mask_for(tmp_path / "bear", tmp_path / "m", first=first)
        return
    assert find_mask_for(tmp_path / "bear", tmp_path / "m", first=first).path == tmp_path / "m" / f"{found}.png"
    # A video file has no names of frames, and another folder's masks may be other ones
    with pytest.raises(InputError, match=r"no mask for cow\.mp4 there"):
        find_mask_for(tmp_path / "cow.mp4", tmp_path / "m", first=FirstFrame(0))


def test_a_mask_may_be_a_gif(tmp_path):
    touch(tmp_path, "m/bear.gif")
    assert find_mask_for(tmp_path / "bear.mp4", tmp_path / "m").path.name == "bear.gif"
