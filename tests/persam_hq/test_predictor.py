import numpy as np
import pytest
import torch
from stand_ins.lite import tiny_lite

from persam_hq import PerSamPredictor, SamPredictor
from persam_hq.errors import InputError, ShapeError
from persam_hq.personalization import bottom_points, cascade, guide, locate, top_points
from persam_hq.predictor import bind, decode, decode_scales, encode, personalize, prompts_from_arrays
from persam_hq.types import PromptSet

PROMPTS = {"point_coords": [[20, 10], [5, 5]], "point_labels": [1, 0]}


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def mask():
    mask = np.zeros((24, 40), dtype=bool)
    mask[4:20, 8:30] = True
    return mask


@pytest.fixture
def predictor(square, image):
    predictor = SamPredictor(square)
    predictor.set_image(image)
    return predictor


@pytest.mark.parametrize("face", [SamPredictor, PerSamPredictor])
def test_an_image_has_to_be_set_first(square, face):
    predictor = face(square)
    assert not predictor.is_image_set
    for ask in (predictor.predict, predictor.get_image_embedding):
        with pytest.raises(InputError, match="call set_image"):
            ask()


def test_the_current_image(predictor):
    assert predictor.is_image_set
    assert predictor.get_image_embedding().shape == (1, 32, 4, 4)
    assert (predictor.original_size, predictor.input_size) == ((24, 40), (38, 64))
    predictor.reset_image()
    assert not predictor.is_image_set


def test_bgr_is_turned_around(predictor, image):
    embedding = predictor.get_image_embedding()
    predictor.set_image(image[..., ::-1], image_format="BGR")
    assert torch.equal(predictor.get_image_embedding(), embedding)
    with pytest.raises(InputError, match="'RGB' or 'BGR', got 'HSV'"):
        predictor.set_image(image, "HSV")


@pytest.mark.parametrize("multimask_output", [True, False])
def test_an_hq_decoder_gives_one_mask(predictor, multimask_output):
    masks, scores, low_res = predictor.predict(**PROMPTS, multimask_output=multimask_output)
    assert masks.shape == (1, 24, 40)
    assert masks.dtype == bool
    assert scores.shape == (1,)
    assert low_res.shape == (1, 16, 16)


@pytest.mark.parametrize(("multimask_output", "count"), [(True, 3), (False, 1)])
def test_a_plain_decoder_gives_three_masks_or_one(square_plain, image, multimask_output, count):
    predictor = SamPredictor(square_plain)
    predictor.set_image(image)
    masks, scores, low_res = predictor.predict(**PROMPTS, multimask_output=multimask_output)
    assert len(masks) == len(scores) == len(low_res) == count


def test_the_hq_mask_needs_hq_parts(square_plain, image):
    features = encode(square_plain, image)
    with pytest.raises(InputError, match="hq_token_only"):
        decode(square_plain, features, PromptSet.from_points(positive=[(1, 1)]), hq_token_only=True)


def test_logits_on_request(predictor):
    masks, _, _ = predictor.predict(**PROMPTS)
    logits, _, _ = predictor.predict(**PROMPTS, return_logits=True)
    assert logits.dtype == np.float32
    assert np.array_equal(logits > 0, masks)


def test_prompts_change_the_result(predictor):
    _, _, plain = predictor.predict(**PROMPTS)
    for prompt in ({"box": [2, 2, 30, 20]}, {"mask_input": plain}):
        _, _, other = predictor.predict(**PROMPTS, **prompt)
        assert not np.array_equal(other, plain)


def test_a_box_may_have_a_row_of_its_own(predictor):
    flat, row = (predictor.predict(box=box)[2] for box in ([2, 2, 30, 20], [[2, 2, 30, 20]]))
    assert np.array_equal(flat, row)


@pytest.mark.parametrize("name", PROMPTS)
def test_points_and_labels_go_together(predictor, name):
    with pytest.raises(InputError, match="go together"):
        predictor.predict(**{name: PROMPTS[name]})


def test_prompts_do_not_share_memory_with_the_caller():
    points = np.zeros((1, 2), dtype=np.float32)
    prompts = prompts_from_arrays(point_coords=points, point_labels=[1], box=None, mask_input=None)
    points[:] = 7
    assert prompts.points.sum() == 0


def test_persam_prepares_the_mask_as_an_image(square, image, mask):
    predictor = PerSamPredictor(square)
    drawn = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    prepared = predictor.set_image(image, drawn)
    assert prepared.shape == (1, 3, 64, 64)
    white, black = (((value - square.pixel_mean) / square.pixel_std)[:, 0, 0] for value in (255, 0))
    assert torch.allclose(prepared[0, :, 20, 30], white)
    assert torch.allclose(prepared[0, :, 1, 1], black)
    assert (prepared[..., 38:, :] == 0).all()


def test_persam_can_leave_the_current_image_alone(square, image, mask):
    predictor = PerSamPredictor(square)
    assert predictor.set_image(image) is None
    features = predictor.image_features
    drawn = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    assert predictor.set_image(image[::-1], drawn, cal_image=False).shape == (1, 3, 64, 64)
    assert predictor.image_features is features


def test_persam_refuses_a_mask_of_another_size(square, image):
    with pytest.raises(ShapeError, match="both must be"):
        PerSamPredictor(square).set_image(image, image[1:])


def test_persam_gives_one_array_more(square, image):
    predictor = PerSamPredictor(square)
    predictor.set_image(image)
    masks, _, _, logits = predictor.predict(**PROMPTS)
    assert logits.shape == masks.shape
    assert np.array_equal(logits.numpy() > 0, masks)


@pytest.mark.parametrize("face", [SamPredictor, PerSamPredictor])
def test_both_faces_are_one_core(square, image, mask, face):
    features = encode(square, image)
    target = personalize(square, features, mask)
    guidance = guide(locate(features, target), target)
    expected = decode(square, features, PromptSet.from_points(positive=[(20, 10)]), guidance=guidance)
    predictor = face(square)
    predictor.set_image(image)
    _, scores, low_res, *_ = predictor.predict(
        [[20, 10]], [1], attn_sim=guidance.attn_sim, target_embedding=guidance.target_embedding
    )
    assert np.array_equal(scores, expected.scores.numpy())
    assert np.array_equal(low_res, expected.low_res_logits.numpy())


def test_guidance_changes_the_result(square, image, mask):
    features = encode(square, image)
    target = personalize(square, features, mask)
    guidance = guide(locate(features, target), target)
    prompts = PromptSet.from_points(positive=[(20, 10)])
    guided, plain = (decode(square, features, prompts, guidance=g).low_res_logits for g in (guidance, None))
    assert not torch.equal(guided, plain)


def test_nothing_is_trained_by_predicting(predictor):
    assert not predictor.get_image_embedding().requires_grad


def test_a_rectangular_model_runs_the_whole_of_persam(rectangular, image, mask):
    features = encode(rectangular, image)
    target = personalize(rectangular, features, mask)
    prior = locate(features, target)
    prompts = PromptSet.from_points(positive=top_points(prior.similarity), negative=bottom_points(prior.similarity))
    steps = cascade(bind(rectangular, features), prompts, guidance=guide(prior, target))
    assert prior.grid.shape == (3, 6)
    assert [tuple(step.masks.shape) for step in steps] == [(1, 24, 40), (3, 24, 40), (3, 24, 40)]
    assert steps[-1].low_res_logits.shape == (3, 12, 24)


@pytest.fixture(scope="module")
def lite():
    return tiny_lite()


@pytest.mark.parametrize(("multimask_output", "count"), [(True, 3), (False, 1)])
def test_lite_gives_three_masks_or_one_with_parts_of_its_own(lite, image, multimask_output, count):
    predictor = SamPredictor(lite)
    predictor.set_image(image)
    masks, scores, low_res = predictor.predict(**PROMPTS, multimask_output=multimask_output)
    assert (masks.shape, masks.dtype) == ((count, 24, 40), bool)
    assert scores.shape == (count,)
    assert low_res.shape == (count, 256, 256)
    again, _, _ = predictor.predict(mask_input=low_res[:1], hq_token_only=True, return_logits=True)
    assert again.dtype == np.float32


def test_lite_takes_bgr_too(lite, image):
    predictor = SamPredictor(lite)
    predictor.set_image(image[..., ::-1], image_format="BGR")
    assert torch.equal(predictor.get_image_embedding(), encode(lite, image).image_embedding)


def test_a_script_of_persam_runs_on_lite(lite, image, mask):
    predictor = PerSamPredictor(lite)
    prepared = predictor.set_image(image, np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255)
    assert prepared.shape == (1, 3, 96, 128)
    target = personalize(lite, predictor.image_features, mask)
    prior = locate(predictor.image_features, target)
    guidance = guide(prior, target)
    masks, scores, low_res, logits = predictor.predict(
        point_coords=top_points(prior.similarity).numpy(),
        point_labels=np.array([1]),
        multimask_output=False,
        attn_sim=guidance.attn_sim,
        target_embedding=guidance.target_embedding,
    )
    assert len(masks) == len(scores) == len(low_res) == 1
    assert logits.shape == (1, 24, 40)
    prompts = PromptSet.from_points(positive=top_points(prior.similarity), negative=bottom_points(prior.similarity))
    *_, last = cascade(bind(lite, predictor.image_features), prompts, guidance=guidance)
    assert last.masks.shape == (3, 24, 40)


@pytest.mark.parametrize("name", ["square", "square_plain", "rectangular"])
@pytest.mark.parametrize("multimask_output", [True, False])
def test_weights_make_one_mask_of_the_three(request, image, name, multimask_output):
    model = request.getfixturevalue(name)
    features, prompts = encode(model, image), PromptSet.from_points(positive=[(20, 10)])
    weights = torch.tensor([0.2, 0.5, 0.3])
    got = decode(model, features, prompts, multimask_output=multimask_output, mask_weights=weights)
    scales = decode_scales(model, features, prompts)
    assert scales.shape == (3, 24, 40)
    assert got.logits.shape == (1, 24, 40)
    if not model.has_hq:
        assert torch.allclose(got.logits[0], (weights[:, None, None] * scales).sum(dim=0), atol=1e-4)
        return
    # The HQ mask comes on top of the weighed ones
    hq = decode(model, features, prompts, hq_token_only=True)
    assert torch.allclose(got.logits, hq.logits + (weights[:, None, None] * scales).sum(dim=0), atol=1e-3)


def test_lite_goes_on_from_the_weighed_mask(lite, image):
    features, prompts = encode(lite, image), PromptSet.from_points(positive=[(20, 10)])
    results = [
        decode(lite, features, prompts, mask_weights=torch.tensor(weights)).logits
        for weights in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    ]
    assert all(logits.shape == (1, 24, 40) for logits in results)
    assert not torch.equal(results[0], results[1])
