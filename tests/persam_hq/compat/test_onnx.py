"""The exported model: traced with one set of inputs, it answers others as the predictors do."""

import io
import warnings

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from stand_ins.model import WIDTH, rectangular_model, square_model

from persam_hq.compat import per_segment_anything, segment_anything
from persam_hq.compat.modeling import as_published
from persam_hq.compat.per_segment_anything.utils.onnx import SamOnnxModel as PerSamOnnxModel
from persam_hq.compat.segment_anything.utils.onnx import SamOnnxModel
from persam_hq.errors import InputError

IMAGE = np.random.default_rng(6).integers(0, 256, (24, 40, 3), dtype=np.uint8)
GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def without_gradients():
    """A trace does not keep that its module switched them off."""
    with torch.no_grad():
        yield


def filled(*, hq):
    model = square_model(hq=hq)
    fill_state_dict(model)
    return as_published(model.eval(), returns_interm=hq)


@pytest.fixture(scope="module")
def model():
    return filled(hq=True)


@pytest.fixture(scope="module")
def plain():
    return filled(hq=False)


def dummies(*, hq, points=5):
    """Inputs in the shapes that the export scripts make up."""
    interm = {"interm_embeddings": torch.randn(1, 1, 4, 4, WIDTH, generator=GENERATOR)} if hq else {}
    return {
        "image_embeddings": torch.randn(1, WIDTH, 4, 4, generator=GENERATOR),
        **interm,
        "point_coords": torch.rand(1, points, 2, generator=GENERATOR) * 64,
        "point_labels": torch.randint(0, 4, (1, points), generator=GENERATOR).float(),
        "mask_input": torch.randn(1, 1, 16, 16, generator=GENERATOR),
        "has_mask_input": torch.tensor([1.0]),
        "orig_im_size": torch.tensor([150.0, 225.0]),
    }


def traced(export, inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the export scripts do
        return torch.jit.trace(export, tuple(inputs.values()), check_trace=False)


def asked(predictor, *, hq):
    """Inputs for the predictor's image: a point, a box and no mask, as the notebooks prepare them."""
    points = predictor.transform.apply_coords(np.array([[20, 10]]), (24, 40))
    corners = predictor.transform.apply_boxes(np.array([4, 2, 30, 20]), (24, 40)).reshape(2, 2)
    interm = {"interm_embeddings": torch.stack(predictor.interm_features)} if hq else {}
    return {
        "image_embeddings": predictor.get_image_embedding(),
        **interm,
        "point_coords": torch.from_numpy(np.concatenate([points, corners])).float()[None],
        "point_labels": torch.tensor([[1.0, 2, 3]]),
        "mask_input": torch.zeros(1, 1, 16, 16),
        "has_mask_input": torch.tensor([0.0]),
        "orig_im_size": torch.tensor([24.0, 40.0]),
    }


@pytest.mark.parametrize("multi", [True, False])
@pytest.mark.parametrize("only", [True, False])
def test_sam_hqs_export_answers_as_its_predictor(model, multi, only):
    export = SamOnnxModel(model=model, hq_token_only=only, multimask_output=multi)
    trace = traced(export, dummies(hq=True))
    predictor = segment_anything.SamPredictor(model)
    predictor.set_image(IMAGE)
    want = predictor.predict(
        np.array([[20, 10]]), np.array([1]), np.array([4, 2, 30, 20]), None, multi, True, hq_token_only=only
    )
    for found in (trace(*asked(predictor, hq=True).values()), export(**asked(predictor, hq=True))):
        assert found[0].shape == (1, 1, 24, 40)
        for got, expected in zip(found, want, strict=True):
            assert np.allclose(got[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("name", [SamOnnxModel, PerSamOnnxModel])
@pytest.mark.parametrize("single", [True, False])
def test_metas_export_gives_all_masks_or_one(plain, name, single):
    trace = traced(name(model=plain, return_single_mask=single), dummies(hq=False))
    predictor = per_segment_anything.SamPredictor(plain)
    predictor.set_image(IMAGE)
    masks, scores, low_res = trace(*asked(predictor, hq=False).values())
    one, all_three = (
        predictor.predict(np.array([[20, 10]]), np.array([1]), np.array([4, 2, 30, 20]), None, multi)
        for multi in (False, True)
    )
    # A point and a box are three points, so mask 0 goes with them
    assert np.allclose(low_res[0, :1].numpy(), one[2], atol=1e-4)
    assert masks.shape == (1, 1 if single else 4, 24, 40)
    assert np.array_equal(masks[0, 0].numpy() > 0, one[0][0])
    if not single:
        assert np.allclose(scores[0, 1:].numpy(), all_three[1], atol=1e-4)


def test_one_point_with_its_padding_gets_the_best_of_three(plain):
    export = SamOnnxModel(plain, return_single_mask=True)
    predictor = segment_anything.SamPredictor(plain)
    predictor.set_image(IMAGE)
    inputs = asked(predictor, hq=False)
    inputs["point_coords"] = torch.cat([inputs["point_coords"][:, :1], torch.zeros(1, 1, 2)], dim=1)
    inputs["point_labels"] = torch.tensor([[1.0, -1]])
    _, scores, low_res = traced(export, dummies(hq=False))(*inputs.values())
    _, want, logits = predictor.predict(np.array([[20, 10]]), np.array([1]))
    assert float(scores) == pytest.approx(want.max(), abs=1e-4)
    assert np.allclose(low_res[0, 0].numpy(), logits[want.argmax()], atol=1e-4)


@pytest.mark.parametrize("hq", [True, False])
def test_extra_metrics(model, plain, hq):
    options = {"use_stability_score": True, "return_extra_metrics": True}
    options |= {"multimask_output": False} if hq else {"return_single_mask": True}
    masks, scores, stability, areas, low_res = SamOnnxModel(model if hq else plain, **options)(**dummies(hq=hq))
    assert masks.shape == (1, 1, 150, 225)
    assert (scores.shape, stability.shape, areas.shape) == ((1, 1), (1, 1), (1, 1))
    assert int(areas) == int((masks > 0).sum())
    assert low_res.shape == (1, 1, 16, 16)


@pytest.mark.parametrize("hq", [True, False])
def test_a_mask_is_used_where_there_is_one(model, plain, hq):
    export, inputs = SamOnnxModel(model if hq else plain), dummies(hq=hq)
    other = inputs | {"mask_input": inputs["mask_input"] + 1}
    assert not torch.allclose(export(**inputs)[2], export(**other)[2])
    without = {"has_mask_input": torch.tensor([0.0])}
    assert torch.equal(export(**inputs | without)[2], export(**other | without)[2])


def test_gelu_is_found_for_its_approximation(model):
    export = SamOnnxModel(model=model)
    kinds = [module for _, module in export.named_modules() if isinstance(module, torch.nn.GELU)]
    assert len(kinds) > 3
    assert export.mask_decoder is model.mask_decoder
    assert (export.img_size, model.prompt_encoder.embed_dim) == (64, WIDTH)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SamOnnxModel(rectangular_model(), return_single_mask=True), "only models for square frames"),
        (lambda: SamOnnxModel(square_model(hq=False), hq_token_only=True), "takes a model with HQ parts"),
    ],
)
def test_what_cannot_be_exported(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_the_file_itself(model):
    """As the export script does, where the packages are there that torch needs for it."""
    pytest.importorskip("onnx")
    inputs, file = dummies(hq=True), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SamOnnxModel(model=model),
            tuple(inputs.values()),
            file,
            opset_version=17,
            input_names=list(inputs),
            dynamo=False,
        )
    assert len(file.getvalue()) > 10_000
