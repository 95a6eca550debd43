"""The baseline of the similarity prior: PerSAM's location prior alone, thresholded, without any decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from persam_hq.segmenter import build_segmenter
from persamhq_video.config import RunConfig

__all__ = ["best_threshold", "similarity_prior_masks"]

_NUM_THRESHOLDS = 256
"""Quantiles of the similarity that are tried: neighbouring ones differ by less than half a percent of the pixels."""


def similarity_prior_masks(
    config: RunConfig,
) -> Callable[[Iterable[NDArray[np.uint8]], NDArray[np.uint8]], Iterator[NDArray[np.uint8]]]:
    """The method that turns frames and the first label map (H, W) uint8 into a label map per frame.

    A pixel is foreground where the cosine similarity to the target embedding exceeds the threshold that reproduces
    the object's mask best on the first frame; among several objects the one farthest above its threshold wins.
    """
    segmenter = build_segmenter(
        config.model,
        checkpoint=config.checkpoint,
        device="cpu" if config.device == "auto" else config.device,
        dtype=torch.float32 if config.dtype == "auto" else getattr(torch, config.dtype),
    )

    def similarity(image: NDArray[np.uint8], reference: object) -> NDArray[np.float32]:
        """The similarity maps (K, H, W) of an image, one per object."""
        located = segmenter.locate(reference, segmenter.encode(image), None)
        return np.stack([prior.similarity.float().cpu().numpy() for prior in located.priors])

    def method(frames: Iterable[NDArray[np.uint8]], first_mask: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        ids = np.unique(first_mask[first_mask > 0])
        masks = np.stack([first_mask == i for i in ids])
        reference: object = None
        thresholds: NDArray[np.float32] | None = None
        for image in frames:
            # The first frame gives the target of each object and its threshold
            if reference is None:
                reference = segmenter.personalize(segmenter.encode(image), torch.from_numpy(masks))
                maps = similarity(image, reference)
                thresholds = np.array([best_threshold(m, t) for m, t in zip(maps, masks, strict=True)], np.float32)
                yield first_mask
                continue

            # Every other frame by itself
            assert thresholds is not None
            above = similarity(image, reference) - thresholds[:, None, None]
            yield np.where(above.max(axis=0) > 0, ids[above.argmax(axis=0)], 0).astype(np.uint8)

    return method


def best_threshold(similarity: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """The threshold on a map (H, W) whose foreground has the highest IoU with `mask` (H, W)."""
    candidates = np.quantile(similarity, np.linspace(0, 1, _NUM_THRESHOLDS))

    # Pixels above each candidate, inside the mask and everywhere, counted in the sorted values
    inside, total = np.sort(similarity[mask]), np.sort(similarity.ravel())
    both = len(inside) - np.searchsorted(inside, candidates, side="right")
    found = len(total) - np.searchsorted(total, candidates, side="right")
    union = len(inside) + found - both
    return float(candidates[int(np.argmax(both / np.maximum(union, 1)))])
