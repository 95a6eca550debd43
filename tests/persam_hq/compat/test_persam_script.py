"""PerSAM's algorithm, typed from the paper with nothing of this package but the model's three parts.

`PERSAM_HQ_PHOTOS`, a folder with <object>/images and <object>/annotations, runs it on real photos too.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from PIL import Image
from torch.nn import functional as F

from persam_hq import sam_model_registry
from persam_hq.compat.per_segment_anything import SamPredictor
from persam_hq.finder import build_tuned_finder
from persam_hq.personalization import fit_scale_weights

MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


class Oracle:
    """Segment Anything around the three parts, and PerSAM's training-free procedure on it."""

    def __init__(self, model, side):
        self.model, self.side = model, side

    def frame(self, image):
        """(1, 3, S, S): longer side to S by Pillow, normalised, zeros below and to the right; and the size within."""
        height, width = image.shape[:2]
        scale = self.side / max(height, width)
        h, w = int(height * scale + 0.5), int(width * scale + 0.5)
        pixels = torch.from_numpy(np.array(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))).float()
        frame = torch.zeros(1, 3, self.side, self.side)
        frame[0, :, :h, :w] = ((pixels - MEAN) / STD).permute(2, 0, 1)
        return frame, (h, w)

    def full(self, low, inner, outer):
        """Low-resolution maps to the image's size, the padding cut away."""
        whole = F.interpolate(low, (self.side, self.side), mode="bilinear", align_corners=False)
        return F.interpolate(whole[..., : inner[0], : inner[1]], outer, mode="bilinear", align_corners=False)

    def decode(self, embedding, inner, outer, *, points, labels, box=None, mask=None, multi, sim=None, target=None):
        scale = torch.tensor([inner[1] / outer[1], inner[0] / outer[0]], dtype=torch.float64)
        coordinates = (torch.as_tensor(points, dtype=torch.float64) * scale).float()[None]
        corners = None
        if box is not None:
            corners = (torch.as_tensor(box, dtype=torch.float64) * scale.repeat(2)).float()[None]
        encoder, decoder = self.model.prompt_encoder, self.model.mask_decoder
        prompts = (coordinates, torch.as_tensor(labels)[None].float())
        sparse, dense = encoder(points=prompts, boxes=corners, masks=None if mask is None else mask[None])
        output = decoder(
            image_embeddings=embedding,
            image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            attn_sim=sim,
            target_embedding=target,
        )
        chosen = slice(1, None) if multi else slice(0, 1)
        low, scores = output.masks[:, chosen], output.iou_predictions[:, chosen]
        return self.full(low, inner, outer)[0] > 0, scores[0], low[0]

    @torch.no_grad()
    def run(self, reference, mask, image):
        """The object's mask (H, W) bool in the image, and the three passes' low-resolution logits."""
        # Target: mean feature of the reference under the mask, which is resized as an image is
        embedding, _ = self.model.image_encoder(self.frame(reference)[0])
        drawn = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
        cells = (
            F.interpolate(self.frame(drawn)[0], embedding.shape[-2:], mode="bilinear", align_corners=False)[0, 0] > 0
        )
        mean = embedding[0].permute(1, 2, 0)[cells].mean(dim=0)

        # Location prior: cosine similarity, most and least alike pixel
        frame, inner = self.frame(image)
        outer = image.shape[:2]
        features, _ = self.model.image_encoder(frame)
        unit = features / features.norm(dim=1, keepdim=True)
        grid = ((mean / mean.norm()) @ unit.flatten(2)[0]).reshape(1, 1, *features.shape[-2:])
        similarity = self.full(F.interpolate(grid, scale_factor=4, mode="bilinear"), inner, outer)[0, 0]
        positions = [divmod(int(of), outer[1]) for of in (similarity.flatten().argmax(), similarity.flatten().argmin())]
        given = {"points": [(x, y) for y, x in positions], "labels": [1, 0]}

        # Guidance: standardised similarity over the whole grid, and the mean feature
        standard = (similarity - similarity.mean()) / similarity.std()
        sim = F.interpolate(standard[None, None], features.shape[-2:], mode="bilinear").sigmoid().flatten(2)[:, None]
        target = mean[None, None]

        # Three passes: guided; with its logits; with these and the mask's box
        _, _, low0 = self.decode(features, inner, outer, **given, multi=False, sim=sim, target=target)
        masks, scores, low1 = self.decode(features, inner, outer, **given, mask=low0, multi=True)
        best = int(scores.argmax())
        y, x = np.nonzero(masks[best].numpy())
        box = [x.min(), y.min(), x.max(), y.max()]
        masks, scores, low2 = self.decode(
            features, inner, outer, **given, box=box, mask=low1[best : best + 1], multi=True
        )
        return masks[int(scores.argmax())].numpy(), (low0, low1, low2)


def script(model, reference, mask, image):
    """What a script does with the predictor of `per_segment_anything`."""
    predictor = SamPredictor(model)
    drawn = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    prepared = predictor.set_image(reference, drawn)
    features = predictor.features.squeeze().permute(1, 2, 0)
    cells = F.interpolate(prepared, size=features.shape[:2], mode="bilinear").squeeze()[0]
    embedding = features[cells > 0].mean(0).unsqueeze(0)
    direction = embedding / embedding.norm(dim=-1, keepdim=True)

    predictor.set_image(image)
    tested = predictor.features.squeeze()
    c, h, w = tested.shape
    tested = (tested / tested.norm(dim=0, keepdim=True)).reshape(c, h * w)
    sim = (direction @ tested).reshape(1, 1, h, w)
    sim = F.interpolate(sim, scale_factor=4, mode="bilinear")
    sim = predictor.model.postprocess_masks(
        sim, input_size=predictor.input_size, original_size=predictor.original_size
    ).squeeze()
    _, width = sim.shape
    top, last = sim.flatten().topk(1)[1].item(), sim.flatten().topk(1, largest=False)[1].item()
    points = np.array([[top % width, top // width], [last % width, last // width]])
    labels = np.array([1, 0])
    standard = (sim - sim.mean()) / torch.std(sim)
    attn = F.interpolate(standard[None, None], size=(h, w), mode="bilinear").sigmoid().flatten(3)
    attn = attn.reshape(1, 1, 1, h * w)

    _, _, low0, _ = predictor.predict(
        points, labels, multimask_output=False, attn_sim=attn, target_embedding=embedding.unsqueeze(0)
    )
    masks, scores, low1, _ = predictor.predict(points, labels, mask_input=low0[0:1, :, :], multimask_output=True)
    best = np.argmax(scores)
    y, x = np.nonzero(masks[best])
    box = np.array([x.min(), y.min(), x.max(), y.max()])
    masks, scores, low2, _ = predictor.predict(
        points, labels, box=box[None, :], mask_input=low1[best : best + 1, :, :], multimask_output=True
    )
    return masks[np.argmax(scores)], (low0, low1, low2)


def scene(seed, size, *, at):
    """A coloured blob on noise, and its mask."""
    generator = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    mask = ((x - at[0]) / (width / 5)) ** 2 + ((y - at[1]) / (height / 4)) ** 2 < 1
    image = generator.integers(60, 190, (height, width, 3)).astype(np.uint8)
    image[mask] = np.array([210, 70, 40]) + generator.integers(-20, 20, (int(mask.sum()), 3))
    return image, mask


def check(model, side, reference, mask, image):
    want, logits = Oracle(model, side).run(reference, mask, image)
    got, found = script(model, reference, mask, image)
    for one, other in zip(logits, found, strict=True):
        assert np.abs(one.numpy() - other).max() < 1e-3
    assert np.array_equal(want, got)


@pytest.mark.parametrize("size", [(24, 40), (50, 30), (64, 64)])
@pytest.mark.parametrize("seed", range(3))
def test_the_published_script_gives_the_oracles_masks(square_plain, size, seed):
    reference, mask = scene(seed, (36, 52), at=(20, 18))
    image, _ = scene(seed + 10, size, at=(size[1] * 0.6, size[0] * 0.5))
    check(square_plain, 64, reference, mask, image)


@torch.no_grad()
def finetuned(model, side, reference, mask, image):
    """PerSAM-F from its paper: the most similar point, three masks weighed, two passes that correct the sum."""
    oracle = Oracle(model, side)
    embedding, _ = model.image_encoder(oracle.frame(reference)[0])
    drawn = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    cells = F.interpolate(oracle.frame(drawn)[0], embedding.shape[-2:], mode="bilinear")[0, 0] > 0
    inside = embedding[0].permute(1, 2, 0)[cells]
    target = inside.max(dim=0)[0] / 2 + inside.mean(dim=0) / 2
    target = target / target.norm()

    def most_alike(features, inner, outer):
        unit = features / features.norm(dim=1, keepdim=True)
        grid = (target @ unit.flatten(2)[0]).reshape(1, 1, *features.shape[-2:])
        similarity = oracle.full(F.interpolate(grid, scale_factor=4, mode="bilinear"), inner, outer)[0, 0]
        y, x = divmod(int(similarity.argmax()), outer[1])
        return {"points": [(x, y)], "labels": [1]}

    # The weights, on the reference
    inner, outer = oracle.frame(reference)[1], reference.shape[:2]
    _, _, low = oracle.decode(embedding, inner, outer, **most_alike(embedding, inner, outer), multi=True)
    weights = fit_scale_weights(oracle.full(low[None], inner, outer)[0], torch.from_numpy(mask))

    # The image
    frame, inner = oracle.frame(image)
    outer = image.shape[:2]
    features, _ = model.image_encoder(frame)
    given = most_alike(features, inner, outer)
    _, _, low = oracle.decode(features, inner, outer, **given, multi=True)
    low = (weights[:, None, None] * low).sum(dim=0, keepdim=True)
    merged = oracle.full(low[None], inner, outer)[0, 0] > 0
    for _ in range(2):
        y, x = np.nonzero(merged.numpy())
        box = [x.min(), y.min(), x.max(), y.max()] if len(x) else None
        masks, scores, low = oracle.decode(features, inner, outer, **given, box=box, mask=low, multi=True)
        best = int(scores.argmax())
        merged, low = masks[best], low[best : best + 1]
    return merged.numpy(), weights


@pytest.mark.parametrize("seed", range(3))
def test_persam_f_gives_the_oracles_masks(square_plain, seed):
    reference, mask = scene(seed, (36, 52), at=(20, 18))
    image, _ = scene(seed + 10, (24, 40), at=(24, 12))
    want, weights = finetuned(square_plain, 64, reference, mask, image)
    finder = build_tuned_finder(square_plain, reference, mask)
    assert torch.allclose(torch.tensor(finder.fit.weights), weights, atol=1e-3)
    assert np.mean(finder.find(image).mask != want) < 0.002  # the fit's last digits may turn a pixel


PHOTOS = os.environ.get("PERSAM_HQ_PHOTOS")


@pytest.mark.skipif(PHOTOS is None, reason="PERSAM_HQ_PHOTOS names no folder of photos")
def test_the_published_script_gives_the_oracles_masks_on_photos():
    model = sam_model_registry["vit_tiny"](hq=False)
    fill_state_dict(model)
    folders = sorted(path for path in Path(PHOTOS).iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        first, *others = sorted((folder / "images").iterdir())
        annotation = next((folder / "annotations").glob(f"{first.stem}.*"))
        reference = np.asarray(Image.open(first).convert("RGB"))
        mask = np.asarray(Image.open(annotation).convert("L")) > 0
        for other in others:
            check(model, 1024, reference, mask, np.asarray(Image.open(other).convert("RGB")))
