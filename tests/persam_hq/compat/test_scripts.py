"""Scripts in the shape of those that come with the packages: only their import lines name this package."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from PIL import Image
from stand_ins.builder import save, small_builder
from stand_ins.model import WIDTH, square_model

from persam_hq.build import sam as build
from persam_hq.compat import per_segment_anything, segment_anything

IMAGE = np.random.default_rng(6).integers(0, 256, (24, 40, 3), dtype=np.uint8)

PROMPTS = """
    import numpy as np, torch
    from PIL import Image
    from {package} import {registry}, SamPredictor

    sam = {registry}["vit_l"](checkpoint="weights.pth")
    sam.to(device="cpu")
    predictor = SamPredictor(sam)
    image = np.asarray(Image.open("photo.png"))
    for kind in ("box", "points", "boxes"):
        predictor.set_image(image)
        point, label, box = None, None, None
        if kind == "points":
            point = np.array([[20, 10], [9, 9]])
            label = np.ones(point.shape[0])
        elif kind == "box":
            box = np.array([[4, 3, 37, 20]])
        else:
            box = torch.tensor([[4, 3, 37, 20], [10, 5, 20, 15]], device=predictor.device)
            transformed = predictor.transform.apply_boxes_torch(box, image.shape[:2])
        if box is None or len(box) == 1:
            masks, scores, logits = predictor.predict(
                point_coords=point, point_labels=label, box=box, multimask_output=False{more})
        else:
            masks, scores, logits = predictor.predict_torch(
                point_coords=point, point_labels=label, boxes=transformed, multimask_output=False{more})
            masks = masks.squeeze(1).cpu().numpy()
            scores = scores.squeeze(1).cpu().numpy()
        for mask, score in zip(masks, scores):
            found.append((kind, mask.shape, mask.dtype, f"{{score:.3f}}"))
"""
TUNING = """
    import numpy as np, torch
    from {package} import sam_model_registry
    from {package}.utils.transforms import ResizeLongestSide

    model = sam_model_registry["vit_b"](checkpoint="weights.pth")
    transform = ResizeLongestSide(model.image_encoder.img_size)
    resized = torch.as_tensor(transform.apply_image(np.zeros((24, 40, 3), np.uint8))).permute(2, 0, 1)[None]
    pixels = model.preprocess(resized.float())
    with torch.no_grad():
        embedding = model.image_encoder(pixels)
        box = transform.apply_boxes(np.array([4, 3, 37, 20]), (24, 40))
        box = torch.as_tensor(box, dtype=torch.float)[:, None, :]
        sparse, dense = model.prompt_encoder(points=None, boxes=box, masks=None)
    low_res, iou = model.mask_decoder(
        image_embeddings=embedding, image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=False)
    upscaled = model.postprocess_masks(low_res, tuple(resized.shape[-2:]), (24, 40))
    optimizer = torch.optim.Adam(model.mask_decoder.parameters(), lr=1e-3)
    loss = torch.nn.functional.mse_loss(torch.sigmoid(upscaled), torch.ones_like(upscaled))
    loss.backward()
    optimizer.step()
    found.append((tuple(upscaled.shape), float(loss.detach())))
"""
EXPORT = """
    import warnings, torch
    from {package} import sam_model_registry
    from {package}.utils.onnx import SamOnnxModel

    sam = sam_model_registry["vit_b"](checkpoint="weights.pth")
    onnx_model = SamOnnxModel(model=sam, {options}, use_stability_score=False, return_extra_metrics=False)
    for _, module in onnx_model.named_modules():
        if isinstance(module, torch.nn.GELU):
            module.approximate = "tanh"
    embed_dim, embed_size = sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size
    inputs = {{"image_embeddings": torch.randn(1, embed_dim, *embed_size)}}
    if {hq}:
        inputs["interm_embeddings"] = torch.randn(4, 1, *embed_size, {width})
    inputs |= {{
        "point_coords": torch.randint(low=0, high=64, size=(1, 5, 2), dtype=torch.float),
        "point_labels": torch.randint(low=0, high=4, size=(1, 5), dtype=torch.float),
        "mask_input": torch.randn(1, 1, *[4 * x for x in embed_size]),
        "has_mask_input": torch.tensor([1], dtype=torch.float),
        "orig_im_size": torch.tensor([150, 225], dtype=torch.float),
    }}
    _ = onnx_model(**inputs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        traced = torch.jit.trace(onnx_model, tuple(inputs.values()), check_trace=False)
    masks, scores, low_res = traced(*inputs.values())
    found.append((tuple(masks.shape), tuple(scores.shape), tuple(low_res.shape)))
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a script in a folder with a photo and weights, on small models; gives what it found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "sam_model_registry", {name: small_builder(name) for name in build.sam_model_registry})
    Image.fromarray(IMAGE).save("photo.png")

    def script(text, *, hq, **fields):
        model = square_model(hq=hq)
        fill_state_dict(model)
        # The script asks for a name of its own; a small model is of any
        save(model.state_dict(), tmp_path / "weights.pth")
        names = {"found": []}
        exec(compile(textwrap.dedent(text.format(hq=hq, **fields)), "script.py", "exec"), names)
        return names["found"]

    return script


@pytest.mark.parametrize(
    ("registry", "hq", "more"),
    [
        ("sam_model_registry_baseline", False, ""),
        ("sam_model_registry", False, ""),
        ("sam_model_registry", True, ", hq_token_only=False"),
        ("sam_model_registry", True, ", hq_token_only=True"),
        ("sam_hq_model_registry", True, ""),
    ],
)
def test_a_script_that_asks_for_masks(run, registry, hq, more):
    found = run(PROMPTS, package="persam_hq.compat.segment_anything", registry=registry, hq=hq, more=more)
    assert [kind for kind, *_ in found] == ["box", "points", "boxes", "boxes"]
    assert {(shape, dtype) for _, shape, dtype, _ in found} == {((24, 40), np.dtype(bool))}


@pytest.mark.parametrize("package", ["segment_anything", "per_segment_anything"])
def test_a_script_that_trains_the_decoder(run, package):
    ((shape, loss),) = run(TUNING, package=f"persam_hq.compat.{package}", hq=False)
    assert shape == (1, 1, 24, 40)
    assert 0 < loss < 1


@pytest.mark.parametrize(
    ("package", "hq", "options"),
    [
        ("segment_anything", True, "hq_token_only=False, multimask_output=True"),
        ("segment_anything", True, "hq_token_only=True, multimask_output=False"),
        ("segment_anything", False, "return_single_mask=True"),
        ("per_segment_anything", False, "return_single_mask=True"),
    ],
)
def test_a_script_that_exports(run, package, hq, options):
    (shapes,) = run(EXPORT, package=f"persam_hq.compat.{package}", hq=hq, options=options, width=WIDTH)
    assert shapes == ((1, 1, 150, 225), (1, 1), (1, 1, 16, 16))


@pytest.mark.parametrize("package", [segment_anything, per_segment_anything])
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda p: p.predict(np.array([[1, 2]]), np.array([1])), RuntimeError),
        (lambda p: p.predict_torch(None, None, torch.zeros(1, 4)), RuntimeError),
        (lambda p: p.get_image_embedding(), RuntimeError),
        (lambda p: p.set_image(IMAGE, image_format="RGBA"), AssertionError),
        (lambda p: p.set_torch_image(torch.zeros(3, 64, 64), (24, 40)), AssertionError),
        (lambda p: p.set_torch_image(torch.zeros(1, 3, 32, 32), (24, 40)), AssertionError),
        (lambda p: (p.set_image(IMAGE), p.predict(np.array([[1, 2]]))), AssertionError),
    ],
)
def test_errors_are_of_the_published_types(square_plain, package, call, kind):
    with pytest.raises(kind, match=r"; |, got|, and not"):
        call(package.SamPredictor(square_plain))


@pytest.mark.parametrize(
    "arguments",
    [{"points_per_side": None}, {"point_grids": [np.zeros((1, 2))]}, {"output_mode": "polygons"}],
)
def test_the_generators_errors_are_assertions(square_plain, arguments):
    with pytest.raises(AssertionError, match=r"; |, got|, and not"):
        segment_anything.SamAutomaticMaskGenerator(square_plain, **arguments)


def test_parts_are_attributes_of_the_package():
    import persam_hq.compat.per_segment_anything as persam
    import persam_hq.compat.segment_anything as sam

    for package in (sam, persam):
        assert package.utils.transforms.ResizeLongestSide is package.ResizeLongestSide
        assert package.modeling.Sam is package.Sam
    assert sam.build_sam_baseline.sam_model_registry_baseline is sam.sam_model_registry_baseline
    assert "persam_hq.compat.segment_anything.build_sam" in sys.modules
