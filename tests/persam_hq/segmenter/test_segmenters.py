"""The behaviour that all segmenters share, on lite, on SAM-HQ and on a SAM whose input is no square."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from stand_ins.lite import tiny_lite
from stand_ins.model import rectangular_model, square_model

from persam_hq.errors import InputError
from persam_hq.segmenter import LiteConfig, LiteSegmenter, SamSegmenter
from persam_hq.types import PromptSet


def sam(model, **options):
    fill_state_dict(model)
    return SamSegmenter(model.eval(), **options)


SEGMENTERS = {
    "lite": lambda: LiteSegmenter(tiny_lite()),
    "lite, published": lambda: LiteSegmenter(tiny_lite(), config=LiteConfig.published()),
    "SAM-HQ": lambda: sam(square_model(hq=True)),
    "rectangular SAM": lambda: sam(rectangular_model()),
}


@pytest.fixture(scope="module", params=SEGMENTERS)
def segmenter(request):
    return SEGMENTERS[request.param]()


def prompts_of(k):
    """Different kinds of prompts, so that the objects need several decoder calls."""
    kinds = [
        PromptSet.from_points(positive=[[40.0, 48]]),
        PromptSet.from_points(positive=[[115.0, 25]], box=torch.tensor([98.0, 8, 132, 42])),
        PromptSet.from_points(positive=[[140.0, 80]]),
    ]
    return kinds[:k]


def tensors(value):
    """All tensors in a value, however deep."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors(item)]
    names = getattr(value, "__dataclass_fields__", ())
    return [t for name in names for t in tensors(getattr(value, name))]


def follow(segmenter, scene, rows, *, chained=True):
    """Track the objects at `rows` over the clip: everything that came of the last frame."""
    masks = scene.masks[rows]
    features = [segmenter.encode(image) for image in scene.frames]
    reference = segmenter.personalize(features[0], masks)
    memory = segmenter.begin(features[0], masks) if chained else None
    kinds = [prompts_of(3)[row] for row in rows]
    for frame in features[1:]:
        located = segmenter.locate(reference, frame, memory)
        decoded = segmenter.decode(located, kinds, guided=True, choice="best")
        if memory is not None:
            memory = segmenter.remember(located, decoded, torch.ones(len(rows), dtype=torch.bool))
    return located, decoded, memory


@pytest.mark.parametrize("k", [1, 3])
def test_one_mask_an_object_at_the_size_of_the_image(segmenter, scene, k):
    located, decoded, memory = follow(segmenter, scene, list(range(k)))
    assert len(located.priors) == k
    assert located.windows.shape == (k, 4)
    assert decoded.prediction.masks.shape == (k, *scene.size)
    assert decoded.presence.shape == decoded.similarity.shape == decoded.prediction.scores.shape == (k,)
    assert decoded.presence.min() >= 0
    assert decoded.presence.max() <= 1
    assert decoded.similarity.abs().max() <= 1 + 1e-5
    assert memory.boxes.shape == (k, 4)
    assert memory.missing.tolist() == [0] * k
    assert all(torch.isfinite(t).all() for t in (*tensors(decoded), *tensors(memory)))


@pytest.mark.parametrize("chained", [True, False])
def test_several_objects_at_once_are_what_they_are_alone(segmenter, scene, chained):
    located, decoded, _ = follow(segmenter, scene, [0, 1, 2], chained=chained)
    for row in range(3):
        located_alone, alone, _ = follow(segmenter, scene, [row], chained=chained)
        assert torch.allclose(located.windows[row], located_alone.windows[0], atol=1e-2)
        assert torch.allclose(decoded.prediction.logits[row], alone.prediction.logits[0], atol=2e-3)
        for name in ("presence", "similarity"):
            assert torch.allclose(getattr(decoded, name)[row], getattr(alone, name)[0], atol=1e-3), name


def test_the_same_input_gives_the_same_bits(segmenter, scene):
    first, second = (follow(segmenter, scene, [0, 1, 2]) for _ in range(2))
    for one, other in zip(tensors(first), tensors(second), strict=True):
        assert torch.equal(one, other)


def test_nothing_that_is_handed_in_changes(segmenter, scene):
    masks = scene.masks.clone()
    features = segmenter.encode(scene.frames[0])
    reference, memory = segmenter.personalize(features, masks), segmenter.begin(features, masks)
    given = (features, reference, memory, masks)
    before = [t.clone() for t in tensors(given)]

    located = segmenter.locate(reference, features, memory)
    kinds = prompts_of(3)
    decoded = segmenter.decode(located, kinds, guided=True, choice="single")
    given, before = (*given, located, decoded), before + [t.clone() for t in tensors((located, decoded))]
    segmenter.decode(located, kinds, guided=False, choice="largest")
    segmenter.remember(located, decoded, torch.tensor([True, False, True]))
    assert all(torch.equal(now, then) for now, then in zip(tensors(given), before, strict=True))


def test_an_object_that_is_not_there_is_kept_as_it_was(segmenter, scene):
    located, decoded, memory = follow(segmenter, scene, [0, 1, 2])
    located = replace(located, memory=memory)
    kept = segmenter.remember(located, decoded, torch.tensor([True, False, True]))
    again = segmenter.remember(replace(located, memory=kept), decoded, torch.tensor([True, False, False]))
    assert kept.missing.tolist() == [0, 1, 0]
    assert again.missing.tolist() == [0, 2, 1]
    for name in {"boxes", "logits", "windows", "keys"} & set(memory.__slots__):
        assert torch.equal(getattr(again, name)[1], getattr(memory, name)[1])


def test_a_target_of_one_pixel_is_finite(segmenter, scene):
    features = segmenter.encode(scene.frames[0])
    reference = segmenter.personalize(features, scene.masks[2:])
    values = tensors(reference)
    assert values
    assert all(torch.isfinite(t).all() for t in values)
    located = segmenter.locate(reference, features, None)
    assert torch.isfinite(located.priors[0].similarity).all()
    assert located.priors[0].similarity.abs().max() > 0


def test_guidance_and_choice_matter(segmenter, scene):
    features = segmenter.encode(scene.frames[1])
    located = segmenter.locate(segmenter.personalize(segmenter.encode(scene.frames[0]), scene.masks), features, None)

    def logits(**options):
        options = {"guided": True, "choice": "single"} | options
        return segmenter.decode(located, prompts_of(3), **options).prediction.low_res_logits

    assert not torch.allclose(logits(), logits(guided=False))
    if not isinstance(segmenter, LiteSegmenter) or segmenter.config.published_selection:
        assert not torch.allclose(logits(), logits(choice="best"))


@pytest.mark.parametrize("choice", ["single", "best", "largest"])
def test_without_the_hq_token_masks_are_those_of_sams_tokens(monkeypatch, scene, choice):
    for segmenter in (LiteSegmenter(tiny_lite(), use_hq=False), sam(square_model(hq=True), use_hq=False)):
        outputs, decode = [], segmenter.model.decode

        def watched(*args, decode=decode, outputs=outputs, **kwargs):
            outputs.append(decode(*args, **kwargs))
            return outputs[-1]

        monkeypatch.setattr(segmenter.model, "decode", watched)
        features = segmenter.encode(scene.frames[0])
        reference, memory = segmenter.personalize(features, scene.masks[:1]), segmenter.begin(features, scene.masks[:1])
        located = segmenter.locate(reference, features, memory)
        decoded = segmenter.decode(located, prompts_of(1), guided=True, choice=choice)
        # SAM's HQ masks are dropped; lite does not even make HQ features
        assert (features.hq_features is None) == isinstance(segmenter, LiteSegmenter)
        assert (outputs[-1].hq_masks is None) == isinstance(segmenter, LiteSegmenter)
        logits = decoded.prediction.low_res_logits[0]
        assert any(torch.equal(logits, candidate) for candidate in outputs[-1].masks[0])


def test_a_model_without_hq_parts_has_nothing_to_leave_out(scene):
    with_it, without = (sam(rectangular_model(), use_hq=use_hq) for use_hq in (True, False))
    for one, other in zip(tensors(follow(with_it, scene, [0])), tensors(follow(without, scene, [0])), strict=True):
        assert torch.equal(one, other)


def test_a_mask_prompt_of_an_earlier_pass_is_taken(segmenter, scene):
    located, decoded, _ = follow(segmenter, scene, [0, 1, 2])
    logits = decoded.prediction.low_res_logits
    again = [PromptSet.from_points(positive=[[50.0, 50]], mask_input=logits[row : row + 1]) for row in range(3)]
    second = segmenter.decode(located, again, guided=False, choice="best")
    assert second.prediction.low_res_logits.shape == logits.shape


def test_the_memory_is_within_the_bound_of_the_travelling_state(segmenter, scene):
    _, _, memory = follow(segmenter, scene, [0, 1, 2])
    assert memory.nbytes == sum(t.numel() * t.element_size() for t in tensors(memory))
    assert memory.nbytes <= 3 * 256 * 1024
    assert memory.logits.dtype == (torch.int8 if isinstance(segmenter, LiteSegmenter) else torch.float16)
    assert all(t.device.type == "cpu" for t in tensors(memory))


def test_sam_without_any_prompt_is_refused(scene):
    segmenter = sam(square_model(hq=False))
    features = segmenter.encode(scene.frames[0])
    located = segmenter.locate(segmenter.personalize(features, scene.masks[:1]), features, None)
    with pytest.raises(InputError, match="got no point, box or mask"):
        segmenter.decode(located, [PromptSet.from_points()], guided=True, choice="single")


@pytest.mark.parametrize("keep", [True, False])
def test_interm_embeddings_of_sam_are_dropped_once_fused(keep):
    segmenter = sam(square_model(hq=True), keep_interm=keep)
    features = segmenter.encode(np.zeros((64, 64, 3), np.uint8))
    assert features.hq_features is not None
    assert bool(features.interm_embeddings) is keep
