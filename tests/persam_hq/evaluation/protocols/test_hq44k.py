import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins.lite import tiny_lite

from persam_hq.errors import EvaluationError
from persam_hq.evaluation import mean_boundary_iou, mean_image_iou
from persam_hq.evaluation.protocols.hq44k import SETS, evaluate_hq, read_hq, segment_by_box
from persam_hq.predictor import SamPredictor

SIZE = (24, 40)


def scene(seed, size=SIZE):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[4 + seed : 15, 8 : 30 - seed] = 255
    return image, mask


def write(folder, photos, annotations, *, count=3):
    for index in range(count):
        image, mask = scene(index)
        for name, pixels in ((photos, image), (annotations, mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def test_the_published_layout(tmp_path):
    for _, folder, photos, annotations in SETS:
        write(tmp_path / folder, photos, annotations)
    write(tmp_path / "DIS5K" / "DIS-TR", "im", "gt")  # what is trained on is not evaluated
    sets = read_hq(tmp_path)
    assert [item.name for item in sets] == ["DIS5K-VD", "COIFT", "HRSOD", "ThinObject5K-TE"]
    assert [len(item.pairs) for item in sets] == [3] * 4
    photo, annotation = sets[1].read(2)
    assert np.array_equal(photo, scene(2)[0])
    assert np.array_equal(annotation, scene(2)[1])


def test_parts_of_the_layout(tmp_path):
    write(tmp_path / "DIS5K" / "DIS-VD", "im", "gt")
    assert [item.name for item in read_hq(tmp_path)] == ["DIS5K-VD"]
    assert [item.name for item in read_hq(tmp_path / "DIS5K")] == ["DIS5K-VD"]
    assert [item.name for item in read_hq(tmp_path / "DIS5K" / "DIS-VD")] == ["DIS-VD"]
    (item,) = read_hq(tmp_path, every=2)
    assert [path.stem for path, _ in item.pairs] == ["0", "2"]


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(EvaluationError, match="is no folder"):
        read_hq(tmp_path / "none")
    with pytest.raises(EvaluationError, match="holds no set: expected DIS5K/DIS-VD/im"):
        read_hq(tmp_path)
    folder = tmp_path / "DIS5K" / "DIS-VD"
    (folder / "im").mkdir(parents=True)
    with pytest.raises(EvaluationError, match="gt is missing"):
        read_hq(tmp_path)
    (folder / "gt").mkdir()
    with pytest.raises(EvaluationError, match="holds no photo"):
        read_hq(tmp_path)
    Image.fromarray(scene(0)[0]).save(folder / "im" / "a.jpg")
    with pytest.raises(EvaluationError, match=r"a\.jpg has no annotation"):
        read_hq(tmp_path)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (np.full((9, 9), 255, np.uint8), "is 9x9"),
        (np.full(SIZE, 128, np.uint8), "marks nothing: expected values above 128"),
    ],
)
def test_annotations_that_cannot_be_scored(tmp_path, annotation, said):
    write(tmp_path, "im", "gt", count=1)
    Image.fromarray(annotation).save(tmp_path / "gt" / "0.png")
    (item,) = read_hq(tmp_path)
    with pytest.raises(EvaluationError, match=said):
        item.read(0)
    (tmp_path / "gt" / "0.png").write_bytes(b"text")
    with pytest.raises(EvaluationError, match="cannot be read"):
        item.read(0)


def test_scores_are_means_over_photos(tmp_path):
    write(tmp_path, "images", "masks")
    sets = read_hq(tmp_path)
    (row,) = evaluate_hq(lambda photo, annotation: annotation > 128, sets)
    assert (row.images, row.scores) == (3, (1, 1))

    def shifted(photo, annotation):
        return np.roll(annotation > 128, 3, axis=1)

    (row,) = evaluate_hq(shifted, sets)
    pairs = [(scene(index)[1] > 128, shifted(None, scene(index)[1])) for index in range(3)]
    assert row.scores == (pytest.approx(mean_image_iou(pairs)), pytest.approx(mean_boundary_iou(pairs)))


@pytest.mark.parametrize("name", ["square", "square_plain", "lite"])
def test_one_mask_is_asked_for_by_the_annotations_box(request, name):
    model = tiny_lite() if name == "lite" else request.getfixturevalue(name)
    image, annotation = scene(1)
    predictor = SamPredictor(model)
    predictor.set_image(image)
    want, _, _ = predictor.predict(box=[8, 5, 28, 14], multimask_output=False)
    assert np.array_equal(segment_by_box(model)(image, annotation), want[0])


def test_as_published_everything_is_stretched_to_a_square(square_plain, monkeypatch):
    monkeypatch.setattr("persam_hq.evaluation.protocols.hq44k.PUBLISHED_SIDE", 64)
    image, annotation = scene(1)
    frame = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(), size=(64, 64), mode="bilinear"
    )
    mask = torch.nn.functional.interpolate(torch.from_numpy(annotation)[None, None].float(), (64, 64), mode="bilinear")
    y, x = np.nonzero(mask[0, 0].numpy() > 128)
    predictor = SamPredictor(square_plain)
    predictor.set_image(frame[0].permute(1, 2, 0).numpy().astype(np.uint8))
    _, _, low_res = predictor.predict(box=[x.min(), y.min(), x.max(), y.max()], multimask_output=False)
    want = torch.nn.functional.interpolate(torch.from_numpy(low_res)[None], SIZE, mode="bilinear")[0, 0] > 0
    assert np.array_equal(segment_by_box(square_plain, published=True)(image, annotation), want.numpy())


def test_without_the_hq_parts(square):
    image, annotation = scene(0)
    with_hq, without = (segment_by_box(square, with_hq=flag)(image, annotation) for flag in (True, False))
    assert not np.array_equal(with_hq, without)
