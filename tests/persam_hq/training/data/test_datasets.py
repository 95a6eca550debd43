import shutil

import numpy as np
import pytest
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.training.data.datasets import encoded_clip, load_clips, load_label_maps, read_image, read_labels


def test_clips_in_davis_layout(clips_root):
    (clip,) = load_clips(clips_root, ("square",))
    assert (clip.name, len(clip.frames), len(clip.labels)) == ("square", 9, 9)
    assert clip.frames[0].shape == (72, 96, 3)
    assert np.unique(clip.labels[3]).tolist() == [0, 1]
    assert clip.labels[3].sum() == 30 * 30
    assert clip.labels[3][20, 26] == 1
    assert repr(clip) == "Clip('square', frames=9)"


def test_photos_with_their_label_maps(photos_root):
    photos = load_label_maps(photos_root, background=True)
    assert [len(photo.labels) for photo in photos] == [2, 2, 2]
    assert [np.unique(labels).tolist() for labels in photos[0].labels] == [[0, 1, 2], [0, 2, 4]]
    assert photos[0].background
    assert repr(photos[0]) == "Photo(image=(72, 96, 3), label_maps=2)"


def test_palette_indices_are_kept(tmp_path):
    path = tmp_path / "palette.png"
    image = Image.fromarray(np.array([[0, 3], [9, 3]], np.uint8))
    image.putpalette([0, 0, 0, 255, 0, 0] * 128)
    image.save(path)
    with Image.open(path) as saved:
        assert saved.mode == "P"
    assert read_labels(path).tolist() == [[0, 3], [9, 3]]


def test_a_clip_without_annotations_is_named(clips_root):
    with pytest.raises(InputError, match=r"no annotations of 'circle' below .*expected Annotations/circle/\*.png"):
        load_clips(clips_root, ("circle",))


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no photos with label maps below .*expected images/ and annotations/"):
        load_label_maps(tmp_path, background=False)


def test_a_coloured_label_map_is_refused(tmp_path):
    path = tmp_path / "colour.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(InputError, match=r"a label map has one channel, got \(4, 4, 3\) in .*colour.png"):
        read_labels(path)


@pytest.mark.parametrize(("read", "what"), [(read_image, "training image"), (read_labels, "label map")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, read, what):
    with pytest.raises(InputError, match=rf"cannot read the {what} .*none.png"):
        read(tmp_path / "none.png")
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    with pytest.raises(InputError, match=rf"cannot read the {what} .*broken.png"):
        read(broken)


def test_frames_are_decoded_when_they_are_asked_for(clips_root):
    (clip,) = load_clips(clips_root, ("square",))
    assert np.array_equal(clip.frames[-1], clip.frames[8])
    assert [frame.shape for frame in clip.frames[2:4]] == [(72, 96, 3)] * 2
    assert isinstance(clip.frames.contents[0], bytes)
    broken = encoded_clip("broken", frames={"a.jpg": b"nothing"}, labels={"a.png": b"nothing"})
    with pytest.raises(InputError, match=r"cannot read the training image a.jpg"):
        broken.frames[0]
    with pytest.raises(InputError, match=r"cannot read the label map a.png"):
        broken.labels[0]


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"p0": [{"id": 1}]}', '{"p0": 3}'])
def test_segments_that_say_nothing_of_things(photos_root, tmp_path, content):
    root = tmp_path / "set"
    shutil.copytree(photos_root, root)
    (root / "segments.json").write_text(content)
    with pytest.raises(InputError, match=r"cannot read .*segments.json: .*expected for each photo a list of segments"):
        load_label_maps(root, background=False)
