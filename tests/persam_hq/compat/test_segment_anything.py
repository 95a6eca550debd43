import importlib

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from PIL import Image
from stand_ins.model import square_model

from persam_hq.compat import per_segment_anything, segment_anything
from persam_hq.compat.segment_anything import ResizeLongestSide
from persam_hq.errors import InputError

IMAGE = np.random.default_rng(6).integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    model = square_model(hq=False)
    fill_state_dict(model)
    return model.eval()


@pytest.mark.parametrize("package", ["segment_anything", "per_segment_anything"])
def test_the_names_that_scripts_import(package):
    module = importlib.import_module(f"persam_hq.compat.{package}")
    published = {"SamPredictor", "sam_model_registry", "build_sam", "build_sam_vit_h", "build_sam_vit_l"}
    assert published | {"build_sam_vit_b"} <= set(module.__all__)
    assert {"default", "vit_h", "vit_l", "vit_b", "vit_t"} <= set(module.sam_model_registry)


def test_the_transform():
    transform = ResizeLongestSide(64)
    assert transform.apply_image(IMAGE).shape == (38, 64, 3)
    assert transform.apply_coords(np.array([[10, 12]]), (24, 40)).tolist() == [[16, 19]]
    assert transform.apply_boxes(np.array([10, 12, 20, 24]), (24, 40)).tolist() == [[16, 19, 32, 38]]
    assert transform.apply_boxes_torch(torch.tensor([[10, 12, 20, 24]]), (24, 40)).tolist() == [[16, 19, 32, 38]]


@pytest.mark.parametrize("package", [segment_anything, per_segment_anything])
def test_tensors_and_arrays_give_the_same(model, package):
    arrays, tensors = package.SamPredictor(model), package.SamPredictor(model)
    arrays.set_image(IMAGE)
    resized = torch.as_tensor(tensors.transform.apply_image(IMAGE)).permute(2, 0, 1)[None]
    tensors.set_torch_image(resized, IMAGE.shape[:2])
    assert torch.equal(arrays.features, tensors.features)

    points = torch.as_tensor(tensors.transform.apply_coords(np.array([[20, 10]]), (24, 40)), dtype=torch.float)
    expected = arrays.predict(np.array([[20, 10]]), np.array([1]), None, None, True, True)
    found = tensors.predict_torch(points[None], torch.ones(1, 1), None, None, True, True)
    assert len(expected) == len(found)
    for want, got in zip(expected, found, strict=True):
        assert np.allclose(np.asarray(want), got[0].numpy(), atol=1e-6)


def test_boxes_in_a_batch(model):
    predictor = segment_anything.SamPredictor(model)
    predictor.set_image(IMAGE)
    boxes = predictor.transform.apply_boxes_torch(torch.tensor([[1, 1, 20, 20], [5, 5, 39, 22]]), (24, 40))
    masks, scores, low_res = predictor.predict_torch(None, None, boxes, multimask_output=False)
    assert masks.shape == (2, 1, 24, 40)
    assert masks.dtype == torch.bool
    assert scores.shape == (2, 1)
    assert low_res.shape == (2, 1, 16, 16)


def test_persams_script_line_by_line(model):
    """What the published script does with the predictor, down to the attributes that it reads."""
    predictor = per_segment_anything.SamPredictor(model)
    mask = np.zeros_like(IMAGE)
    mask[4:20, 8:30] = 255
    prepared = predictor.set_image(IMAGE, mask)
    h, w = predictor.features.shape[-2:]
    cells = torch.nn.functional.interpolate(prepared, size=(h, w), mode="bilinear").squeeze()[0] > 0
    embedding = predictor.features.squeeze().permute(1, 2, 0)[cells].mean(0)[None, None]

    predictor.set_image(IMAGE[::-1])
    similarity = torch.zeros(1, 1, 4 * h, 4 * w)
    similarity = predictor.model.postprocess_masks(
        similarity, input_size=predictor.input_size, original_size=predictor.original_size
    )
    assert similarity.shape == (1, 1, 24, 40)
    masks, scores, logits, high = predictor.predict(
        point_coords=np.array([[20, 10]]),
        point_labels=np.array([1]),
        multimask_output=False,
        attn_sim=torch.rand(1, 1, 1, h * w),
        target_embedding=embedding,
    )
    masks, scores, logits, high = predictor.predict(
        point_coords=np.array([[20, 10]]),
        point_labels=np.array([1]),
        box=np.array([1, 2, 30, 20])[None, :],
        mask_input=logits[0:1, :, :],
        multimask_output=True,
    )
    assert masks.shape == high.shape == (3, 24, 40)
    assert int(np.argmax(scores)) in range(3)


def test_persam_prepares_a_mask_given_as_a_tensor(model):
    predictor = per_segment_anything.SamPredictor(model)
    resized = torch.as_tensor(predictor.transform.apply_image(IMAGE)).permute(2, 0, 1)[None]
    assert predictor.set_torch_image(resized, (24, 40)) is None
    features = predictor.image_features
    prepared = predictor.set_torch_image(resized, (24, 40), resized, cal_image=False)
    assert prepared.shape == (1, 3, 64, 64)
    assert predictor.image_features is features


DRAWN = np.zeros_like(IMAGE)
DRAWN[4:20, 8:30] = 255
SIMILARITY = torch.rand(1, 1, 1, 16, generator=torch.Generator().manual_seed(1))
TARGET = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(2))
POINT = (np.array([[20, 10]]), np.array([1]))


@pytest.mark.parametrize("package", [segment_anything, per_segment_anything])
def test_a_mask_beside_the_image_in_both(model, package):
    predictor = package.SamPredictor(model)
    assert predictor.set_image(IMAGE) is None
    features = predictor.image_features
    prepared = predictor.set_image(IMAGE[::-1], mask=DRAWN, cal_image=False)
    assert predictor.image_features is features
    resized = torch.as_tensor(predictor.transform.apply_image(DRAWN)).permute(2, 0, 1)[None]
    given = torch.as_tensor(predictor.transform.apply_image(IMAGE)).permute(2, 0, 1)[None]
    for call in (predictor.set_torch_image, predictor.set_image_torch):
        assert torch.equal(call(given, (24, 40), resized, False), prepared)
        assert predictor.image_features is features
    predictor.reset_image()
    predictor.set_image_torch(given, (24, 40))
    assert torch.equal(predictor.features, features.image_embedding)


@pytest.mark.parametrize("package", [segment_anything, per_segment_anything])
def test_the_second_argument_of_set_image_is_each_packages_own(model, package):
    plain, other = package.SamPredictor(model), package.SamPredictor(model)
    plain.set_image(IMAGE)
    second = "RGB" if package is segment_anything else DRAWN
    other.set_image(IMAGE, second)
    assert torch.equal(plain.features, other.features)
    swapped = package.SamPredictor(model)
    swapped.set_image(np.ascontiguousarray(IMAGE[..., ::-1]), image_format="BGR")
    assert torch.equal(plain.features, swapped.features)


@pytest.mark.parametrize("package", [segment_anything, per_segment_anything])
@pytest.mark.parametrize("more", [{"attn_sim": SIMILARITY}, {"target_embedding": TARGET}, {"hq_token_only": True}])
def test_every_argument_in_both_as_arrays_and_as_tensors(square, package, more):
    predictor = package.SamPredictor(square)
    predictor.set_image(IMAGE)
    plain = predictor.predict(*POINT)
    arrays = predictor.predict(*POINT, **more)
    assert not np.allclose(plain[2], arrays[2], atol=1e-3)
    points = torch.as_tensor(predictor.transform.apply_coords(POINT[0], (24, 40)), dtype=torch.float)[None]
    tensors = predictor.predict_torch(points, torch.ones(1, 1), **more)
    for want, got in zip(arrays, tensors, strict=True):
        assert np.allclose(np.asarray(want), got[0].numpy(), atol=1e-4)


def test_what_comes_seventh_is_each_packages_own(square):
    hq, persam = segment_anything.SamPredictor(square), per_segment_anything.SamPredictor(square)
    for predictor in (hq, persam):
        predictor.set_image(IMAGE)
    options = (*POINT, None, None, True, False)
    assert np.array_equal(hq.predict(*options, True)[2], hq.predict(*POINT, hq_token_only=True)[2])
    guided = persam.predict(*POINT, attn_sim=SIMILARITY, target_embedding=TARGET)[2]
    assert np.array_equal(persam.predict(*options, SIMILARITY, TARGET)[2], guided)
    assert len(hq.interm_features) == 1


def test_the_hq_mask_needs_hq_parts(model):
    predictor = segment_anything.SamPredictor(model)
    predictor.set_image(IMAGE)
    with pytest.raises(InputError, match="no HQ parts"):
        predictor.predict_torch(None, None, torch.tensor([[1.0, 1, 20, 20]]), hq_token_only=True)


@pytest.mark.parametrize("size", [(24, 40), (40, 24), (7, 7)])
def test_resizing_tensors_and_shapes(size):
    transform = ResizeLongestSide(64)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    want = transform.apply_image(image)
    got = transform.apply_image_torch(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert tuple(got.shape[-2:]) == want.shape[:2] == transform.get_preprocess_shape(*size, 64)
    assert np.abs(got[0].permute(1, 2, 0).numpy() - want).max() < 1.5


def test_the_image_is_resized_as_pillow_does_it():
    transform = ResizeLongestSide(64)
    image = np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    want = np.asarray(Image.fromarray(image).resize((64, 44), Image.Resampling.BILINEAR))
    assert np.array_equal(transform.apply_image(image), want)
