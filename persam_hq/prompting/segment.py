"""Segmentation from an image prompt on lite: a first pass through windows, then refining passes through closer ones.

Each pass decodes all its windows as one batch. Between them candidates are rated and the best ones are followed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.lite.window import move_window, paste_window, resample_window
from persam_hq.modeling.mask_decoder import corrected_masks, weighted_mask
from persam_hq.prompting.candidates import Candidates, best_candidates
from persam_hq.prompting.multimask import select_multimask
from persam_hq.prompting.policy import PromptPolicy
from persam_hq.prompting.prompt_map import PromptMap
from persam_hq.prompting.windows import closer_windows, first_windows
from persam_hq.transforms import RgbImage
from persam_hq.types import DecoderOutput, Guidance, ImageFeatures, MaskPrediction, PromptSet

LOW_RES_SIDE = 256
"""Low-resolution logits are so many values wide and high, over the padded input, as Segment Anything's are."""
_PLAIN = Guidance()


@torch.no_grad()
def encode_image(model: Lite, image: RgbImage) -> ImageFeatures:
    """The features of an image (H, W, 3) uint8 RGB."""
    pixels, geometry = model.prepare(image)
    embedding, interm, hq = model.encode(pixels)
    return ImageFeatures(image_embedding=embedding, interm_embeddings=interm, geometry=geometry, hq_features=hq)


@torch.no_grad()
def segment_prompts(
    model: Lite,
    features: ImageFeatures,
    prompts: PromptSet,
    *,
    multimask_output: bool = True,
    hq_token_only: bool = False,
    guidance: Guidance | None = None,
    mask_weights: Tensor | None = None,
    policy: PromptPolicy | None = None,
) -> MaskPrediction:
    """Masks of one object, in pixels of the original image: the best one, or with a larger and a smaller one beside it.

    The first pass is guided, where there is `guidance` over the grid of the image embedding. Low-resolution logits are
    (N, 256, 256) over the padded input. `hq_token_only`: the HQ mask alone instead of its sum with SAM's. mask_weights:
    (3,) float, PerSAM-F's; the first pass's three masks are weighed into the one that refining passes go on from.
    """
    if hq_token_only and not model.mask_decoder.has_hq:
        raise InputError("hq_token_only asks for the HQ mask, but this model has no HQ parts; build it with hq=True")
    policy = policy or PromptPolicy()
    geometry = features.geometry
    prompt = PromptMap.from_prompts(prompts, geometry, radius=policy.point_radius, device=model.device)

    # First pass: candidates through all windows, of which the best are followed. Weighed masks mean one thing only
    multimask_output = multimask_output and mask_weights is None
    several = _first_candidates(
        model, features, prompt, policy, guidance=guidance, ambiguous=multimask_output, mask_weights=mask_weights
    )
    number = policy.followed if multimask_output else 1
    wide = best_candidates(several, geometry, number=number, distinct=policy.alike)

    # Refining passes. Candidates are compared by SAM's masks, which the IoU head rates; the HQ masks are returned
    output, windows = _refined(model, features, prompt, policy, wide)
    refined = Candidates(logits=output.masks[:, 0], windows=windows, scores=output.iou_predictions[:, 0])
    final = _final_logits(output, hq_token_only=hq_token_only)
    if not multimask_output:
        return _prediction(replace(refined, logits=final), features)

    # Refining may lead to one and the same mask, so the masks of the first pass compete as well; they have no HQ mask
    if not hq_token_only:
        unrefined = F.interpolate(wide.logits[:, None], size=final.shape[-2:], mode="bilinear", align_corners=False)
        final, refined = torch.cat([final, unrefined[:, 0]]), refined.beside(wide)
    rows = select_multimask(refined, geometry, distinct=policy.distinct)
    return _prediction(replace(refined, logits=final).rows(rows), features)


def _first_candidates(
    model: Lite,
    features: ImageFeatures,
    prompt: PromptMap,
    policy: PromptPolicy,
    *,
    guidance: Guidance | None,
    ambiguous: bool,
    mask_weights: Tensor | None,
) -> Candidates:
    """The first pass: each window's single mask, or its three masks where the prompt is ambiguous, or these weighed.

    A pass through several windows is ambiguous in itself: it does not know the object's size.
    """
    # The decoder's masks, and so the prior that the prompt is drawn into, have four times the grid
    windows = first_windows(prompt, features.geometry, policy)
    shapes = prompt.render(windows, grid=4 * model.geometry.grid)
    output = _decode_windows(model, features, prompt, windows, shapes, guidance=guidance or _PLAIN)

    # PerSAM-F's weights were fitted to SAM's masks, without the HQ mask
    if mask_weights is not None:
        plain = replace(output, hq_masks=None)
        weighed, iou = weighted_mask(plain, mask_weights)
        return Candidates(logits=weighed[:, 0], windows=windows, scores=iou[:, 0])

    # SAM's mask 0 is for prompts that mean one thing, masks 1 to 3 for ambiguous ones
    kinds = slice(1, None) if ambiguous or len(windows) > 1 else slice(0, 1)
    masks, scores = output.masks[:, kinds], output.iou_predictions[:, kinds]
    # A candidate per window and mask
    _, n, _, _ = masks.shape
    return Candidates(logits=masks.flatten(0, 1), windows=windows.repeat_interleave(n, dim=0), scores=scores.flatten())


def _refined(
    model: Lite, features: ImageFeatures, prompt: PromptMap, policy: PromptPolicy, chosen: Candidates
) -> tuple[DecoderOutput, Tensor]:
    """Refining passes over each candidate, each from the mask of the last: the last output, and its windows (N, 4)."""
    # Each pass takes the last masks, moved into its own windows, as its prompt map; as PerSAM's, these passes are plain
    masks, windows = chosen.logits[:, None], chosen.windows
    for _ in range(policy.passes):
        closer = closer_windows(masks[:, 0] > 0, windows, features.geometry, policy)
        shapes, _ = move_window(torch.sigmoid(masks), source=windows, destination=closer, grid=masks.shape[-1])
        output = _decode_windows(model, features, prompt, closer, prompt.restrict(shapes, closer), guidance=_PLAIN)
        masks, windows = output.masks[:, :1], closer
    return output, windows


def _decode_windows(
    model: Lite, features: ImageFeatures, prompt: PromptMap, windows: Tensor, shapes: Tensor, *, guidance: Guidance
) -> DecoderOutput:
    """One decoder pass through windows (B, 4), with the prompt or the last masks drawn as `shapes` (B, 1, L, L)."""
    seen = model.through_windows(features.image_embedding, features.interm_embeddings, windows, hq=features.hq_features)
    return model.decode(
        seen,
        prior=model.prompt_prior(seen, shapes.clamp(0, 1)),
        prompts=prompt.tokens(len(windows)),
        guidance=_in_windows(guidance, features, windows, grid=model.geometry.grid),
    )


def _in_windows(guidance: Guidance, features: ImageFeatures, windows: Tensor, *, grid: int) -> Guidance:
    """Guidance over the image embedding's grid, attn_sim (1, 1, 1, h*w), seen through windows: (B, 1, 1, grid*grid)."""
    # The similarity is a map and is resampled as features are; the target is the same everywhere
    attn_sim, target = guidance.attn_sim, guidance.target_embedding
    if attn_sim is not None:
        _, _, h, w = features.image_embedding.shape
        cells = attn_sim.to(windows.device).reshape(1, 1, h, w)
        attn_sim = resample_window(cells, windows, grid=grid, stride=EMBEDDING_STRIDE).flatten(2)[:, None]
    if target is not None:
        target = target.to(windows.device).expand(len(windows), -1, -1)
    return Guidance(attn_sim=attn_sim, target_embedding=target)


def _final_logits(output: DecoderOutput, *, hq_token_only: bool) -> Tensor:
    """The single masks' logits (N, sL, sL) with the HQ mask added, or the HQ masks alone."""
    logits = output.masks[:, :1]
    if output.hq_masks is not None:
        logits = output.hq_masks if hq_token_only else corrected_masks(logits, output.hq_masks)
    return logits[:, 0]


def _prediction(found: Candidates, features: ImageFeatures) -> MaskPrediction:
    """Masks of the image, and low-resolution logits of its padded input, from logits in windows."""
    geometry, logits = features.geometry, found.logits[:, None]

    def pasted(size: tuple[int, int], frame: tuple[int, int]) -> Tensor:
        return paste_window(logits, found.windows, size=size, scale=(frame[0] / size[0], frame[1] / size[1]))[:, 0]

    # Masks skip the padded frame: windows are pasted into the original image directly, at full resolution
    full = pasted(geometry.original, geometry.input)
    return MaskPrediction(
        masks=full > 0,
        scores=found.scores.clamp(0, 1),
        low_res_logits=pasted((LOW_RES_SIDE, LOW_RES_SIDE), geometry.padded),
        logits=full,
    )
