"""lite as a segmenter: a decoder window around each object, dense matching to the first and the previous frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.modeling.efficientnet_lite import EMBEDDING_STRIDE, KEY_STRIDE
from persam_hq.modeling.lite import Lite, WindowFeatures, guided_similarity
from persam_hq.modeling.location_prior import (
    PAST_CHANNELS,
    MatchMemory,
    PriorSources,
    RidgeSums,
    join_memories,
    ridge_sums,
)
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.modeling.window import paste_window, resample_window
from persam_hq.personalization import locate
from persam_hq.segmenter.base import Choice, Decoded, Located, Memory, choose, mask_boxes, prompt_groups, stack_prompts
from persam_hq.segmenter.lite_windows import WindowPolicy, input_boxes, input_shares, outer_edges, whole_windows
from persam_hq.transforms import boxes_to_input
from persam_hq.types import (
    DecoderOutput,
    Guidance,
    ImageFeatures,
    LocationPrior,
    MaskPrediction,
    PromptSet,
    Target,
)


@dataclass(frozen=True, slots=True, eq=False)
class LiteReference:
    """What the first frame says of K objects: matching memory, ridge sums, mean embeddings (K, C)."""

    first: MatchMemory
    ridge: RidgeSums
    targets: Tensor

    def to(self, device: torch.device | str) -> LiteReference:
        """The same on a device."""
        first, ridge = self.first, self.ridge
        return LiteReference(
            first=MatchMemory(
                keys=first.keys.to(device), mask=first.mask.to(device), positions=first.positions.to(device)
            ),
            ridge=RidgeSums(gram=ridge.gram.to(device), moment=ridge.moment.to(device)),
            targets=self.targets.to(device),
        )

    def __repr__(self) -> str:
        return f"LiteReference(first={self.first}, targets={tuple(self.targets.shape)})"


@dataclass(frozen=True, slots=True, eq=False)
class LiteContext:
    """A frame seen through the objects' windows, with its dense prior (K, 12, 2g, 2g) and the guided attention."""

    seen: WindowFeatures
    prior: Tensor
    targets: Tensor
    attn_sim: Tensor

    def __repr__(self) -> str:
        return f"LiteContext(seen={self.seen}, prior={tuple(self.prior.shape)})"


class LiteSegmenter:
    """The embedded model; the encoder runs in `dtype` where that is bfloat16 or float16, the rest in float32.

    `published` leaves out all that is lite's own, for comparison with PerSAM's procedure: the decoder sees the whole
    frame, there is no dense location prior, and the target is half mean and half maximum. Without `use_hq` masks are
    those of SAM's mask tokens alone.
    """

    def __init__(
        self,
        model: Lite,
        *,
        dtype: torch.dtype = torch.float32,
        policy: WindowPolicy | None = None,
        published: bool = False,
        use_hq: bool = True,
    ) -> None:
        self.model = model.eval()
        self.dtype = dtype
        self.policy = policy or WindowPolicy()
        self.published = published
        self.use_hq = use_hq

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        pixels, geometry = self.model.prepare(image)
        device = pixels.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype is not torch.float32):
            embedding, interm = self.model.image_encoder(pixels)
        return ImageFeatures(image_embedding=embedding, interm_embeddings=interm, geometry=geometry)

    @torch.inference_mode()
    def personalize(self, features: ImageFeatures, masks: Tensor) -> LiteReference:
        """See Segmenter."""
        geometry, sizes = features.geometry, self.model.geometry
        masks = masks.to(self.model.device)
        windows = self.policy.around(input_boxes(masks, geometry), geometry, factor=self.policy.reference_factor)
        placed = input_shares(masks, geometry)

        # What matching remembers: the surroundings finely, all of the frame coarsely
        keys = _keys(features)
        near = self.model.remember(keys, placed, windows, grid=sizes.first_grid)
        far = self.model.remember(
            keys, placed, whole_windows(geometry, len(masks), device=masks.device), grid=sizes.global_grid
        )
        first = join_memories(near, far)

        # The target: the mean over the cells that the mask covers
        seen = resample_window(features.image_embedding, windows, grid=sizes.grid, stride=EMBEDDING_STRIDE)
        inside = resample_window(placed, windows, grid=sizes.grid, stride=1)
        # A target too small for the threshold still has the cell it covers most
        enough = torch.minimum(inside.amax(dim=(2, 3), keepdim=True), inside.new_tensor(0.25))
        weight = (inside >= enough.clamp(min=1e-6)).float()
        targets = (seen * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp(min=1)
        if self.published:
            highest = torch.where(weight > 0, seen, -torch.inf).amax(dim=(2, 3))
            targets = (targets + highest) / 2
        return LiteReference(first=first, ridge=ridge_sums(first), targets=targets).to("cpu")

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, masks: Tensor) -> Memory:
        """See Segmenter."""
        geometry, masks = features.geometry, masks.to(self.model.device)
        boxes, _ = mask_boxes(masks)
        windows = self.policy.around(input_boxes(masks, geometry), geometry, factor=self.policy.track_factor)
        share = resample_window(input_shares(masks, geometry), windows, grid=4 * self.model.geometry.grid, stride=1)
        return Memory(
            boxes=boxes,
            logits=(8 * (share - 0.5)).half(),
            windows=windows,
            keys=self._previous_keys(features, windows),
            missing=torch.zeros(len(masks), dtype=torch.int64),
        ).to("cpu")

    @torch.inference_mode()
    def locate(self, reference: LiteReference, features: ImageFeatures, memory: Memory | None) -> Located:
        """See Segmenter. Objects without a memory, or missing, are searched for over the whole frame first."""
        geometry, device = features.geometry, self.model.device
        reference = reference.to(device)
        memory = None if memory is None else memory.to(device)
        windows = whole_windows(geometry, len(reference.targets), device=self.model.device)
        search = torch.ones_like(windows[:, 0], dtype=torch.bool) if memory is None else memory.missing > 0
        if memory is not None and not self.published:
            windows = self.policy.around(
                boxes_to_input(outer_edges(memory.boxes), geometry), geometry, factor=self.policy.track_factor
            )
        if search.any() and not self.published:
            found = self._search(reference, features)
            windows = torch.where(search[:, None], found, windows)
        context = self._context(reference, features, windows, memory, forget=search)
        priors = tuple(self._similarity(features, target) for target in reference.targets)
        return Located(priors=priors, features=features, windows=windows, context=context)

    def _search(self, reference: LiteReference, features: ImageFeatures) -> Tensor:
        """Windows around what a decoder pass over the whole frame finds; the whole frame where that is nothing."""
        geometry = features.geometry
        whole = whole_windows(geometry, len(reference.targets), device=self.model.device)
        everything = torch.ones_like(whole[:, 0], dtype=torch.bool)
        context = self._context(reference, features, whole, None, forget=everything)
        output = self._run(context, range(len(whole)), PromptBatch(), guided=True)
        logits = select_masks(output, multimask_output=False)[0]
        masks = paste_window(logits, whole, size=geometry.input, scale=(1.0, 1.0))[:, 0] > 0
        boxes, empty = mask_boxes(masks)
        windows = self.policy.around(outer_edges(boxes), geometry, factor=self.policy.track_factor)
        return torch.where(empty[:, None], whole, windows)

    def _context(
        self,
        reference: LiteReference,
        features: ImageFeatures,
        windows: Tensor,
        memory: Memory | None,
        *,
        forget: Tensor,
    ) -> LiteContext:
        """See the frame through the windows; objects to `forget` (K,) bool get no prior from the previous frame."""
        seen = self.model.look(features.image_embedding, features.interm_embeddings, windows)
        sources = PriorSources(first=reference.first, ridge=reference.ridge)
        if memory is not None:
            assert memory.keys is not None
            previous, mask = self.model.recall(
                memory.keys.float(), memory.logits.float(), source=memory.windows, destination=windows
            )
            sources = replace(sources, previous=previous, previous_mask=mask)
        prior = self.model.prior(seen, sources)
        prior[:, PAST_CHANNELS] *= (~forget).float()[:, None, None, None]
        return LiteContext(
            seen=seen,
            prior=torch.zeros_like(prior) if self.published else prior,
            targets=reference.targets,
            attn_sim=guided_similarity(seen.embedding, reference.targets),
        )

    def _similarity(self, features: ImageFeatures, target: Tensor) -> LocationPrior:
        """PerSAM's location prior of one target (C,), over the whole frame."""
        unit = F.normalize(target, dim=0)
        whole = ImageFeatures(
            image_embedding=features.image_embedding.float(), interm_embeddings=(), geometry=features.geometry
        )
        return locate(whole, Target(feature=unit, embedding=target[None, None], cells=1))

    @torch.inference_mode()
    def decode(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool, choice: Choice) -> Decoded:
        """See Segmenter."""
        context, geometry = located.context, located.features.geometry
        assert isinstance(context, LiteContext)
        k = len(prompts)
        side = 4 * self.model.geometry.grid
        low_res = context.prior.new_empty(k, 1, side, side)
        scores, presence = context.prior.new_empty(k), context.prior.new_empty(k)
        for group in prompt_groups(prompts):
            batch = stack_prompts([prompts[i] for i in group], geometry).to(self.model.device)
            output = self._run(context, group, batch, guided=guided)
            chosen, iou = choose(output, choice)
            low_res[group], scores[group] = chosen[:, None], iou
            assert output.presence is not None
            presence[group] = torch.sigmoid(output.presence)
        return self._predict(located, low_res, scores, presence)

    def _run(self, context: LiteContext, group: Sequence[int], prompts: PromptBatch, *, guided: bool) -> DecoderOutput:
        """Decode the objects of `group` in one call."""
        rows = list(group)
        guidance = None
        if guided:
            guidance = Guidance(attn_sim=context.attn_sim[rows], target_embedding=context.targets[rows][:, None])
        output = self.model.decode(
            context.seen.rows(rows), prior=context.prior[rows], prompts=prompts, guidance=guidance
        )
        return output if self.use_hq else replace(output, hq_masks=None)

    def _predict(self, located: Located, low_res: Tensor, scores: Tensor, presence: Tensor) -> Decoded:
        """Masks of the image from window logits (K, 1, L, L), and how alike the target is what they cover."""
        context, geometry = located.context, located.features.geometry
        scale = (geometry.input[0] / geometry.original[0], geometry.input[1] / geometry.original[1])
        logits = paste_window(low_res, located.windows, size=geometry.original, scale=scale)[:, 0]
        g = self.model.geometry.grid
        inside = (F.interpolate(low_res, size=(g, g), mode="area")[:, 0] > 0).float()
        cells = F.normalize(context.seen.embedding, dim=1)
        alike = (cells * F.normalize(context.targets, dim=1)[..., None, None]).sum(dim=1)
        similarity = (alike * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
        prediction = MaskPrediction(
            masks=logits > 0, scores=scores.clamp(0, 1), low_res_logits=low_res[:, 0], logits=logits
        )
        return Decoded(prediction=prediction, presence=presence, similarity=similarity)

    @torch.inference_mode()
    def remember(self, located: Located, decoded: Decoded, memory: Memory | None, present: Tensor) -> Memory:
        """See Segmenter."""
        boxes, _ = mask_boxes(decoded.prediction.masks)
        boxes, windows = boxes.cpu(), located.windows.cpu()
        logits = decoded.prediction.low_res_logits[:, None].half().cpu()
        keys = self._previous_keys(located.features, located.windows).cpu()
        missing = torch.zeros(len(boxes), dtype=torch.int64)
        if memory is not None:
            assert memory.keys is not None
            row, cube = present[:, None], present[:, None, None, None]
            boxes = torch.where(row, boxes, memory.boxes)
            logits = torch.where(cube, logits, memory.logits)
            windows = torch.where(row, windows, memory.windows)
            keys = torch.where(cube, keys, memory.keys)
            missing = torch.where(present, missing, memory.missing + 1)
        return Memory(boxes=boxes, logits=logits, windows=windows, keys=keys, missing=missing)

    def _previous_keys(self, features: ImageFeatures, windows: Tensor) -> Tensor:
        """What the next frame is matched against, (K, C, g, g) float16."""
        keys = resample_window(_keys(features), windows, grid=self.model.geometry.previous_grid, stride=KEY_STRIDE)
        return F.normalize(keys, dim=1).half()


def _keys(features: ImageFeatures) -> Tensor:
    """The matching keys of a frame, (1, C, h, w) float32."""
    return features.interm_embeddings[2].permute(0, 3, 1, 2).float()
