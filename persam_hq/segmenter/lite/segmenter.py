"""lite as a segmenter: a decoder window around each object, dense matching to the frames that are remembered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.location_prior import PAST_CHANNELS, PriorSources
from persam_hq.modeling.lite.matching import MatchMemory, direction_bytes, directions
from persam_hq.modeling.lite.model import Lite, WindowFeatures, guided_similarity
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT, move_window, paste_window, resample_window
from persam_hq.modeling.mask_decoder import select_masks, stability, weighted_mask
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.options import TrackerPart
from persam_hq.personalization import locate
from persam_hq.segmenter.base import Choice, Decoded, Located, Memory
from persam_hq.segmenter.batching import choose, join_outputs, prompt_groups, stack_prompts
from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.segmenter.lite.mask_selection import grown, hq_detail, likeness, mask_by_agreement, touching
from persam_hq.segmenter.lite.memory import remembered_keys, restored_logits, stored_logits, sure, was_cut
from persam_hq.segmenter.lite.reference import LiteReference, refer
from persam_hq.segmenter.lite.windows import (
    WindowPolicy,
    cut_off,
    followed,
    input_boxes,
    input_shares,
    outer_edges,
    shifted,
    whole_windows,
)
from persam_hq.transforms import boxes_to_input, soft_mask_logits
from persam_hq.types import (
    DecoderOutput,
    Guidance,
    ImageFeatures,
    ImageGeometry,
    LocationPrior,
    MaskPrediction,
    PromptSet,
    Target,
)


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
    frame, there is no dense location prior, and the target is half mean and half maximum. `without` names parts of
    the tracker to leave out. Without `use_hq` masks are those of SAM's mask tokens alone.
    """

    def __init__(
        self,
        model: Lite,
        *,
        dtype: torch.dtype = torch.float32,
        policy: WindowPolicy | None = None,
        published: bool = False,
        without: Collection[TrackerPart] = (),
        use_hq: bool = True,
    ) -> None:
        self.model = model.eval()
        self.dtype = dtype
        self.policy = policy or WindowPolicy()
        self.published = published
        self.without = frozenset(without)
        self.use_hq = use_hq

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        pixels, geometry = self.model.prepare(image)
        device = pixels.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype is not torch.float32):
            embedding, interm, hq = self.model.encode(pixels, with_hq=self.use_hq)
        return ImageFeatures(image_embedding=embedding, interm_embeddings=interm, geometry=geometry, hq_features=hq)

    @torch.inference_mode()
    def personalize(self, features: ImageFeatures, masks: Tensor) -> LiteReference:
        """See Segmenter."""
        masks = masks.to(self.model.device)
        return refer(self.model, features, masks, policy=self.policy, with_maximum=self.published).to("cpu")

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, masks: Tensor) -> Memory:
        """See Segmenter."""
        geometry, masks = features.geometry, masks.to(self.model.device)
        boxes, _ = inclusive_boxes(masks)
        windows = self.policy.around(input_boxes(masks, geometry), geometry, factor=self.policy.track_factor)
        share = resample_window(input_shares(masks, geometry), windows, grid=4 * self.model.geometry.grid, stride=1)
        keys = remembered_keys(features, windows, grid=self.model.geometry.recent_grid)
        k, key_dim, _, _ = keys.shape
        # A given mask is remembered as sure as training begins its clips: logits of 4 are 98 %
        return Memory(
            boxes=boxes,
            logits=stored_logits(soft_mask_logits(share, peak=4.0)),
            windows=windows,
            keys=direction_bytes(keys, dim=1),
            missing=torch.zeros(k, dtype=torch.int64),
            velocity=torch.zeros(k, 2),
            appearance=Appearance.empty(k, cells=self.model.geometry.recent_grid**2, key_dim=key_dim),
        ).to("cpu")

    @torch.inference_mode()
    def locate(self, reference: LiteReference, features: ImageFeatures, memory: Memory | None) -> Located:
        """See Segmenter. Objects without a memory, or missing, are searched for over the whole frame first."""
        geometry, device = features.geometry, self.model.device
        reference = self._updated(reference.to(device), memory)
        memory = None if memory is None else memory.to(device)
        windows = whole_windows(geometry, len(reference.targets), device=device)
        lost = torch.ones_like(windows[:, 0], dtype=torch.bool)
        if memory is not None and not self.published:
            lost = memory.missing > 0
            windows = self._followed_windows(memory, geometry)
        if lost.any() and not self.published and (memory is None or "search" not in self.without):
            windows = torch.where(lost[:, None], self._search(reference, features), windows)
        context = self._context(reference, features, windows, memory, forget=lost)
        priors = tuple(self._similarity(features, target) for target in reference.targets)
        return Located(priors=priors, features=features, windows=windows, context=context)

    def _updated(self, reference: LiteReference, memory: Memory | None) -> LiteReference:
        """The first frame, and what was learnt since."""
        if memory is None or memory.appearance is None or self.published:
            return reference
        learnt = memory.appearance.to(self.model.device)
        return LiteReference(
            first=reference.first if "memory-frames" in self.without else learnt.beside(reference.first),
            ridge=reference.ridge if "ridge-updates" in self.without else learnt.added_to(reference.ridge),
            targets=reference.targets,
        )

    def _followed_windows(self, memory: Memory, geometry: ImageGeometry) -> Tensor:
        """Windows (K, 4) around the last boxes, moved to where the objects are heading."""
        boxes = outer_edges(memory.boxes)
        if "motion" not in self.without:
            boxes = shifted(boxes, memory.velocity)
        return self.policy.around(boxes_to_input(boxes, geometry), geometry, factor=self.policy.track_factor)

    def _search(self, reference: LiteReference, features: ImageFeatures) -> Tensor:
        """Windows around what a decoder pass over the whole frame finds; the whole frame where that is nothing."""
        geometry = features.geometry
        whole = whole_windows(geometry, len(reference.targets), device=self.model.device)
        everything = torch.ones_like(whole[:, 0], dtype=torch.bool)
        context = self._context(reference, features, whole, None, forget=everything)
        output = self._run(context, range(len(whole)), PromptBatch(), guided=True)
        logits = select_masks(output, multimask_output=False)[0]
        masks = paste_window(logits, whole, size=geometry.input, scale=(1.0, 1.0))[:, 0] > 0
        boxes, empty = inclusive_boxes(masks)
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
        seen = self.model.look(features.image_embedding, features.interm_embeddings, windows, hq=features.hq_features)
        previous, mask = self._recall(memory, windows)
        sources = PriorSources(
            first=None if "first-matching" in self.without else reference.first,
            ridge=None if "ridge" in self.without else reference.ridge,
            previous=previous,
            previous_mask=mask,
        )
        prior = self.model.prior(seen, sources)
        prior[:, PAST_CHANNELS] *= (~forget).float()[:, None, None, None]
        return LiteContext(
            seen=seen,
            prior=torch.zeros_like(prior) if self.published else prior,
            targets=reference.targets,
            attn_sim=guided_similarity(seen.embedding, reference.targets),
        )

    def _recall(self, memory: Memory | None, windows: Tensor) -> tuple[MatchMemory | None, Tensor | None]:
        """The last result as sources of the prior."""
        if memory is None or "previous-frame" in self.without:
            return None, None
        assert memory.keys is not None
        keys = directions(memory.keys, dim=1)
        return self.model.recall(keys, restored_logits(memory.logits), source=memory.windows, destination=windows)

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
        output = self.outputs(located, prompts, guided=guided)
        logits, scores, correction = self._choose(output, located.context.prior, choice)
        presence = self._presence(output, logits, located.context.prior)
        return self._predict(located, logits, scores, presence, correction=correction)

    @torch.inference_mode()
    def outputs(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool) -> DecoderOutput:
        """See Segmenter."""
        context, geometry = located.context, located.features.geometry
        assert isinstance(context, LiteContext)
        groups, outputs = prompt_groups(prompts), []
        for group in groups:
            batch = stack_prompts([prompts[i] for i in group], geometry).to(self.model.device)
            outputs.append(self._run(context, group, batch, guided=guided))
        return join_outputs(outputs, groups)

    @torch.inference_mode()
    def show(self, located: Located, logits: Tensor, *, scores: Tensor, presence: Tensor) -> Decoded:
        """See Segmenter."""
        return self._predict(located, logits, scores, presence)

    def carried(self, located: Located, memory: Memory) -> Tensor:
        """See Segmenter."""
        grid = memory.logits.shape[-1]
        moved, covered = move_window(
            restored_logits(memory.logits), source=memory.windows, destination=located.windows.cpu(), grid=grid
        )
        return torch.where(covered > 0, moved, OUTSIDE_LOGIT)

    @torch.inference_mode()
    def decode_scales(self, located: Located) -> Tensor:
        """The three masks of K objects that PerSAM-F weighs, from the dense prior: logits (K, 3, H, W)."""
        masks = self._run(located.context, range(len(located.priors)), PromptBatch(), guided=True).masks[:, 1:]
        return self._pasted(located, masks)

    @torch.inference_mode()
    def decode_weighed(self, located: Located, weights: Tensor) -> Decoded:
        """K objects from the dense prior, the three masks of each weighed into one by `weights` (K, 3)."""
        output = self._run(located.context, range(len(located.priors)), PromptBatch(), guided=True)
        logits, scores = weighted_mask(replace(output, hq_masks=None), weights)
        correction = None if output.hq_masks is None else hq_detail(logits, output.hq_masks)
        presence = self._presence(output, logits, located.context.prior)
        return self._predict(located, logits, scores[:, 0], presence, correction=correction)

    def _run(self, context: LiteContext, group: Sequence[int], prompts: PromptBatch, *, guided: bool) -> DecoderOutput:
        """Decode the objects of `group` in one call."""
        rows = list(group)
        guidance = None
        if guided:
            guidance = Guidance(attn_sim=context.attn_sim[rows], target_embedding=context.targets[rows][:, None])
        # The frame may have been encoded for somebody else too, who has a use for its HQ features
        seen = context.seen if self.use_hq else replace(context.seen, hq=None)
        return self.model.decode(seen.rows(rows), prior=context.prior[rows], prompts=prompts, guidance=guidance)

    def _choose(self, output: DecoderOutput, prior: Tensor, choice: Choice) -> tuple[Tensor, Tensor, Tensor | None]:
        """One mask a row: logits (B, 1, L, L), its predicted IoU (B,), and HQ's correction (B, 1, sL, sL) of it."""
        if choice != "single" or self.published:
            masks, iou = choose(output, choice)
            return masks[:, None], iou, None
        rows = torch.arange(len(prior), device=prior.device)
        chosen = torch.zeros_like(rows)
        if "choice" not in self.without:
            expected = F.interpolate((prior[:, :1] + 1) / 2, size=output.masks.shape[-2:], mode="bilinear")[:, 0]
            chosen = mask_by_agreement(output, expected)
        masks, iou = output.masks[rows, chosen][:, None], output.iou_predictions[rows, chosen]
        if output.hq_masks is None or "hq-agreement" in self.without:
            return masks, iou, output.hq_masks
        return masks, iou, hq_detail(masks, output.hq_masks)

    def _predict(
        self,
        located: Located,
        logits: Tensor,
        scores: Tensor,
        presence: Tensor,
        *,
        correction: Tensor | None = None,
    ) -> Decoded:
        """Masks of the image from window logits (K, 1, L, L), and how alike the target is what they cover.

        HQ's `correction` (K, 1, sL, sL) is added on the image, as a mask that is interpolated twice loses what is
        thin. What the tracker goes on with is the mask without it, so that an error of HQ stays in its frame.
        """
        context = located.context
        pasted = self._pasted(located, logits)
        if correction is not None:
            pasted = pasted + self._pasted(located, correction, outside=0.0)
        pasted = pasted[:, 0]
        low_res = F.adaptive_avg_pool2d(logits, 4 * self.model.geometry.grid)
        g = self.model.geometry.grid
        inside = (F.interpolate(low_res, size=(g, g), mode="area")[:, 0] > 0).float()
        cells = F.normalize(context.seen.embedding, dim=1)
        alike = (cells * F.normalize(context.targets, dim=1)[..., None, None]).sum(dim=1)
        similarity = (alike * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
        prediction = MaskPrediction(
            masks=pasted > 0,
            scores=scores.clamp(0, 1),
            low_res_logits=low_res[:, 0],
            logits=pasted,
        )
        return Decoded(
            prediction=prediction, presence=presence, certainty=stability(logits[:, 0]), similarity=similarity
        )

    def _presence(self, output: DecoderOutput, logits: Tensor, prior: Tensor) -> Tensor:
        """Probability (B,) that the object is there, and is what the chosen logits (B, 1, L, L) cover."""
        assert output.presence is not None
        presence = torch.sigmoid(output.presence)
        return presence if "presence" in self.without else presence * likeness(logits, prior)

    def _pasted(self, located: Located, logits: Tensor, *, outside: float = OUTSIDE_LOGIT) -> Tensor:
        """Window logits (K, N, L, L) as logits of the image (K, N, H, W)."""
        size, shown = located.features.geometry.original, located.features.geometry.input
        scale = (shown[0] / size[0], shown[1] / size[1])
        return paste_window(logits, located.windows, size=size, scale=scale, outside=outside)

    @torch.inference_mode()
    def after_cut(self, features: ImageFeatures, memory: Memory) -> Memory:
        """See Segmenter."""
        if self.published or "search" in self.without:
            return memory
        windows = self._followed_windows(memory, features.geometry).to(self.model.device)
        cut = was_cut(features, windows, memory).cpu()
        return replace(memory, missing=memory.missing.clamp(min=cut.long())) if cut.any() else memory

    @torch.inference_mode()
    def recentred(self, located: Located, decoded: Decoded, memory: Memory, present: Tensor) -> Memory | None:
        """See Segmenter."""
        if self.published or "second-look" in self.without:
            return None
        masks = decoded.prediction.low_res_logits > 0
        cut = cut_off(masks, located.windows, located.features.geometry).cpu() & present & (memory.missing == 0)
        if not cut.any():
            return None
        boxes = torch.where(cut[:, None], self._boxes(located, decoded).cpu(), memory.boxes)
        return replace(memory, boxes=boxes, velocity=torch.where(cut[:, None], 0.0, memory.velocity))

    def _boxes(self, located: Located, decoded: Decoded) -> Tensor:
        """Boxes (K, 4) of what the tracker goes on with: HQ moves the border of a mask, but not the next window."""
        masks, low_res = decoded.prediction.masks, decoded.prediction.low_res_logits[:, None]
        if self.use_hq:
            # SAM's mask, but for what refiners took away
            geometry = located.features.geometry
            stride = geometry.input[1] / geometry.original[1]
            shown = resample_window(masks[:, None].float(), located.windows, grid=low_res.shape[-1], stride=stride)
            kept = torch.where(grown(shown > 0), low_res, OUTSIDE_LOGIT)
            masks = touching(self._pasted(located, kept)[:, 0] > 0, masks)
        return inclusive_boxes(masks)[0]

    @torch.inference_mode()
    def remember(self, located: Located, decoded: Decoded, memory: Memory | None, present: Tensor) -> Memory:
        """See Segmenter."""
        assert memory is not None, "lite remembers from the first frame on"
        assert memory.keys is not None
        assert memory.appearance is not None
        boxes, logits = self._boxes(located, decoded).cpu(), decoded.prediction.low_res_logits[:, None].cpu()
        keys = remembered_keys(located.features, located.windows, grid=self.model.geometry.recent_grid)
        example = self._example(located, decoded, keys)
        row, cube = present[:, None], present[:, None, None, None]
        return Memory(
            boxes=torch.where(row, boxes, memory.boxes),
            logits=torch.where(cube, stored_logits(logits), memory.logits),
            windows=torch.where(row, located.windows.cpu(), memory.windows),
            keys=torch.where(cube, direction_bytes(keys, dim=1).cpu(), memory.keys),
            missing=torch.where(present, torch.zeros_like(memory.missing), memory.missing + 1),
            velocity=followed(memory, boxes, present),
            appearance=memory.appearance.learn(example, present & sure(decoded) & (memory.missing == 0)),
        )

    def _example(self, located: Located, decoded: Decoded, keys: Tensor) -> MatchMemory:
        """What was found, as an example of the objects, on the CPU; `keys` as they are remembered."""
        probability = torch.sigmoid(decoded.prediction.low_res_logits[:, None])
        share = F.adaptive_avg_pool2d(probability, keys.shape[-1])
        seen = self.model.remember_seen(keys, share, located.windows)
        return MatchMemory(keys=seen.keys.cpu(), mask=seen.mask.cpu(), positions=seen.positions.cpu())
