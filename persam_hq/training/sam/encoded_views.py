"""Encoded views: images through the image encoder, and references personalized for their targets as by PerSAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from persam_hq.modeling.sam import Sam
from persam_hq.personalization import (
    attention_similarity,
    bottom_points,
    foreground_cells,
    locate,
    target_from_features,
    top_points,
)
from persam_hq.training.data.views import View
from persam_hq.transforms import image_tensor, mask_image
from persam_hq.types import ImageFeatures, ImageGeometry, Target


@dataclass(frozen=True, slots=True, eq=False)
class EncodedViews:
    """Features, masks and geometry of B views, in the model's input frame.

    embedding (B, C, h, w) and early (B, h', w', C'), the first interm embedding, float32; masks (B, S, S) float in
    {0, 1}, 0 in the padding; geometries: where each image lies in its frame.
    """

    embedding: Tensor
    early: Tensor
    masks: Tensor
    geometries: tuple[ImageGeometry, ...]

    def __repr__(self) -> str:
        return f"EncodedViews(embedding={tuple(self.embedding.shape)}, masks={tuple(self.masks.shape)})"

    @property
    def padding(self) -> Tensor:
        """(B, S, S) float, 1 in the padding of each frame and 0 in its image."""
        out = torch.ones_like(self.masks)
        for row, geometry in enumerate(self.geometries):
            height, width = geometry.input
            out[row, :height, :width] = 0
        return out

    def features(self, row: int) -> ImageFeatures:
        """The features of one view, as the functions of personalization take them."""
        return ImageFeatures(
            image_embedding=self.embedding[row : row + 1],
            interm_embeddings=(self.early[row : row + 1],),
            geometry=self.geometries[row],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Personalization:
    """What PerSAM computes from B references for their targets.

    points (B, 2, 2): the most and the least similar pixel of each target, (x, y) in the input frame; attn_sim
    (B, 1, 1, h*w); target_embedding (B, 1, C).
    """

    points: Tensor
    attn_sim: Tensor
    target_embedding: Tensor

    def __repr__(self) -> str:
        return f"Personalization(targets={len(self.points)})"


def encode_views(model: Sam, views: Sequence[View], *, precision: torch.dtype, learns: bool) -> EncodedViews:
    """Encode B views, without a graph where the encoder does not learn."""
    pixels = torch.cat([model.preprocess(image_tensor(view.image).to(model.device)) for view in views])
    # Without a graph a CPU takes one image after the other: as fast as all at once, in the memory of one
    together = learns or model.device.type != "cpu"
    embeddings, early = [], []
    with (
        torch.set_grad_enabled(learns),
        torch.autocast(model.device.type, precision, enabled=precision != torch.float32),
    ):
        for part in [pixels] if together else torch.split(pixels, 1):
            embedding, interm = model.image_encoder(part)
            embeddings.append(embedding.float())
            # HQ-SAM fuses the first interm embedding alone
            early.append(interm[0].float())
    return EncodedViews(
        embedding=torch.cat(embeddings),
        early=torch.cat(early),
        masks=_padded_masks(views, side=pixels.shape[-1]).to(model.device),
        geometries=tuple(_geometry(view, side=pixels.shape[-1]) for view in views),
    )


@torch.no_grad()
def personalize_views(
    model: Sam, references: EncodedViews, targets: EncodedViews, *, masks: Sequence[View]
) -> Personalization:
    """Take the target of each reference and locate it in its target view (PerSAM, section 3.2).

    masks: the views of the references, for their masks as PerSAM takes them in.
    """
    points, attention, embeddings = [], [], []
    for row, view in enumerate(masks):
        target = _target(model, references, row, view)
        prior = locate(targets.features(row), target)
        points.append(torch.cat([top_points(prior.similarity), bottom_points(prior.similarity)]))
        attention.append(attention_similarity(prior))
        embeddings.append(target.embedding)
    return Personalization(
        points=torch.stack(points), attn_sim=torch.cat(attention), target_embedding=torch.cat(embeddings)
    )


def _target(model: Sam, references: EncodedViews, row: int, view: View) -> Target:
    """The target of one reference: the features of the cells on its object."""
    mask = torch.from_numpy(view.mask > 0).to(model.device)
    prepared = model.preprocess(image_tensor(mask_image(view.mask > 0)).to(model.device))

    # PerSAM shrinks the prepared mask to the grid of the features
    features = references.features(row)
    _, _, h, w = features.image_embedding.shape
    cells = foreground_cells(mask, prepared=prepared, geometry=features.geometry, grid=(h, w))
    return target_from_features(features.image_embedding, cells)


def _geometry(view: View, *, side: int) -> ImageGeometry:
    """A view is resized already, so its own size is that in the input frame."""
    height, width = view.mask.shape
    return ImageGeometry(original=(height, width), input=(height, width), padded=(side, side))


def _padded_masks(views: Sequence[View], *, side: int) -> Tensor:
    """The masks of views in square frames of `side` pixels, (B, S, S) float; images lie in the upper left corner."""
    out = torch.zeros(len(views), side, side)
    for row, view in enumerate(views):
        height, width = view.mask.shape
        out[row, :height, :width] = torch.from_numpy(view.mask)
    return out
