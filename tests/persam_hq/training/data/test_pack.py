import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.training.data.clip_batches import BatchMaker
from persam_hq.training.data.pack import MANIFEST, PackSize, read_pack, shared_out, write_pack

WHOLE = PackSize(bytes=10**7, side=640, quality=90)


@pytest.fixture
def packed(make_config, tmp_path):
    """The configuration, and its data as a pack of some size."""

    def pack(size=WHOLE, **changes):
        config, lines = make_config(**changes), []
        write_pack(config, tmp_path / "some.pack", size, report=lines.append)
        return config, tmp_path / "some.pack", lines

    return pack


def test_a_pack_holds_clips_and_photos_with_their_labels(packed):
    config, path, lines = packed()
    (clips,), (photos,) = read_pack(path, config)
    there = BatchMaker(config)
    for clip, source in zip(clips, there.videos[0], strict=True):
        assert (clip.name, len(clip.frames)) == (source.name, len(source.frames))
        for k in range(len(source.frames)):
            assert np.abs(clip.frames[k].astype(int) - source.frames[k]).mean() < 12  # noise, compressed once more
            assert np.array_equal(clip.labels[k], source.labels[k])
    for photo, source in zip(photos, there.photos[0], strict=True):
        assert photo.background == source.background
        assert all(np.array_equal(one, other) for one, other in zip(photo.labels, source.labels, strict=True))
    assert [line.split(": ")[1] for line in lines[:2]] == ["9 of 9 images", "3 of 3 images"]


def test_the_same_data_gives_the_same_file(packed, tmp_path):
    config, path, _ = packed()
    first = path.read_bytes()
    write_pack(config, tmp_path / "again.pack", WHOLE, report=lambda _: None)
    assert (tmp_path / "again.pack").read_bytes() == first


@pytest.mark.parametrize("kilobytes", [20, 60])
def test_what_does_not_fit_is_left_out_evenly(packed, kilobytes):
    config, path, _ = packed(PackSize(bytes=kilobytes * 1000, side=96, quality=80))
    assert path.stat().st_size <= kilobytes * 1000
    (clips,), (photos,) = read_pack(path, config)
    assert (len(clips[0].frames), len(photos)) == {20: (2, 2), 60: (9, 3)}[kilobytes]


def test_images_are_brought_to_the_side_asked_for_and_never_enlarged(packed):
    config, path, _ = packed(PackSize(bytes=10**7, side=48, quality=80))
    (clips,), (photos,) = read_pack(path, config)
    assert clips[0].frames[0].shape == (36, 48, 3)
    assert clips[0].labels[0].shape == photos[0].labels[1].shape == (36, 48)
    assert set(np.unique(photos[0].labels[1])) == {0, 2, 4}  # labels are not mixed


def test_a_training_draws_from_it(packed, make_config):
    _, path, _ = packed()
    one, other = (BatchMaker(make_config(pack=str(path))).batch(3) for _ in range(2))
    assert torch.equal(one.frames, other.frames)
    assert one.frames.shape == (2, 3, 3, 64, 64)


def test_things_of_a_panoptic_set_come_along(packed, tmp_path):
    root = tmp_path / "panoptic"
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    labels = np.full((40, 40), 7, np.uint8)
    labels[:20, :20], labels[30:, 30:] = 300 % 256, 255
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(root / "images" / "a.jpg")
    Image.fromarray(labels).save(root / "annotations" / "a.png")
    segments = [{"id": 44, "category": "dog", "isthing": 1}, {"id": 7, "category": "grass", "isthing": 0}]
    (root / "segments.json").write_text(json.dumps({"a": segments}))
    config, path, _ = packed(photos=[{"root": str(root), "background": False, "weight": 1.0}])
    _, ((photo,),) = read_pack(path, config)
    assert photo.things == {44: "dog"}
    assert photo.unlabelled == 255


def test_a_pack_of_other_sources_is_refused(packed, make_config, tmp_path):
    config, path, _ = packed()
    other = make_config(photos=[])
    with pytest.raises(InputError, match=r"some.pack holds clips\d+, photos\d+, but the configuration names clips\d+;"):
        read_pack(path, other)
    with pytest.raises(InputError, match=r"cannot read .*none.pack as a training pack: .*No such file"):
        read_pack(tmp_path / "none.pack", config)


@pytest.mark.parametrize("content", [b"", b"PK nothing", "zip without a manifest", "another manifest"])
def test_what_is_no_pack_is_refused(make_config, tmp_path, content):
    path = tmp_path / "odd.pack"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(MANIFEST if content == "another manifest" else "other.txt", "{}")
    with pytest.raises(InputError, match=r"odd.pack .*training pack.*`persam-hq train pack` makes one"):
        read_pack(path, make_config())


def test_a_pack_that_could_not_be_written_leaves_nothing(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr("persam_hq.training.data.pack.json.dumps", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_pack(make_config(), tmp_path / "some.pack", WHOLE, report=lambda _: None)
    assert not (tmp_path / "some.pack").exists()


@pytest.mark.parametrize(
    ("total", "sizes", "weights", "parts"),
    [
        pytest.param(100, [50, 50], [1, 1], [1, 1], id="all of it"),
        pytest.param(100, [100, 100], [1, 1], [0.5, 0.5], id="half of each"),
        pytest.param(100, [100, 100], [3, 1], [0.75, 0.25], id="by weight"),
        pytest.param(100, [20, 160], [1, 1], [1, 0.5], id="what one leaves the other takes"),
        pytest.param(100, [0, 200], [1, 1], [0, 0.5], id="nothing there"),
        pytest.param(120, [10, 30, 160], [1, 1, 2], [1, 1, 0.5], id="three"),
    ],
)
def test_how_room_is_shared_out(total, sizes, weights, parts):
    assert shared_out(total, sizes, weights) == pytest.approx(parts)


@pytest.mark.parametrize("values", [(0, 640, 87), (10, 16, 87), (10, 640, 0), (10, 640, 101)])
def test_sizes_that_make_no_sense(values):
    with pytest.raises(InputError, match="expected at least 1 byte, 32 pixels, and a quality from 1 to 100"):
        PackSize(*values)
