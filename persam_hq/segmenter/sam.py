"""SAM, SAM-HQ and MobileSAM as a segmenter: whole frames, PerSAM's location prior and guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.errors import InputError
from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.sam import Sam
from persam_hq.personalization import Alignment, Pooling, attention_similarity, locate
from persam_hq.predictor import encode, personalize
from persam_hq.segmenter.base import Choice, Decoded, Locate, Located, LookT
from persam_hq.segmenter.batching import choose, join_outputs, prompt_groups, stack_prompts
from persam_hq.transforms import masks_to_original, soft_mask_logits
from persam_hq.types import DecoderOutput, Guidance, ImageFeatures, MaskPrediction, PromptSet, Target

_GIVEN_PEAK: Final = 10.0
"""Logit of a given mask well inside of the object: it enters the next pass as a result of SAM would, whose logits are
about 10 there."""


@dataclass(frozen=True, slots=True, eq=False)
class SamMemory:
    """The memory of K objects; see `persam_hq.segmenter.base.Memory`.

    boxes: (K, 4) float32, inclusive, pixels of the original image; logits: (K, 1, L, L) float16 over the padded input;
    missing: (K,) int64, frames since the object was last seen.
    """

    boxes: Tensor
    logits: Tensor
    missing: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.numel() * t.element_size() for t in (self.boxes, self.logits, self.missing))

    def __repr__(self) -> str:
        return f"SamMemory(objects={len(self.boxes)}, bytes={self.nbytes})"


@dataclass(frozen=True, slots=True, eq=False)
class SamContext:
    """The targets of a frame, and the target-guided attention (K, 1, 1, h*w)."""

    targets: tuple[Target, ...]
    attn_sim: Tensor

    def __repr__(self) -> str:
        return f"SamContext(objects={len(self.targets)}, attn_sim={tuple(self.attn_sim.shape)})"


class SamSegmenter:
    """A Segment Anything model; features live on the model's device.

    HQ parts, where it has any, are left unused without `use_hq`: masks are those of SAM's mask tokens alone. The interm
    embeddings are dropped once the HQ features are fused, as they are the largest by far, unless `keep_interm`.
    """

    def __init__(
        self,
        model: Sam,
        *,
        alignment: Alignment = "image",
        pooling: Pooling = "mean",
        use_hq: bool = True,
        keep_interm: bool = False,
    ) -> None:
        self.model = model
        self.use_hq = use_hq
        self.keep_interm = keep_interm
        self.alignment: Alignment = alignment
        self.pooling: Pooling = pooling

    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        features = encode(self.model, image)
        return features if self.keep_interm else replace(features, interm_embeddings=())

    def personalize(self, features: ImageFeatures, masks: Tensor) -> tuple[Target, ...]:
        """See Segmenter: one target per object."""
        found = (personalize(self.model, features, mask.numpy(), pooling=self.pooling) for mask in masks)
        return tuple(_target_to(target, "cpu") for target in found)

    def begin(self, features: ImageFeatures, masks: Tensor) -> SamMemory:
        """See Segmenter."""
        del features
        boxes, _ = inclusive_boxes(masks)
        side = self.model.prompt_encoder.mask_input_size
        share = F.interpolate(masks[:, None].float(), size=side, mode="area")
        logits = soft_mask_logits(share, peak=_GIVEN_PEAK)
        return SamMemory(boxes=boxes, logits=logits.half(), missing=torch.zeros(len(masks), dtype=torch.int64))

    def look(
        self,
        reference: tuple[Target, ...],
        features: ImageFeatures,
        memory: SamMemory | None,
        judge: Callable[[Located[SamContext, SamMemory]], LookT],
        *,
        locate: Locate[tuple[Target, ...], SamMemory, SamContext] | None = None,
    ) -> LookT:
        """See Segmenter: once, as the whole frame is searched whether there was a cut or not, and cuts nothing off."""
        return judge((locate or self.locate)(reference, features, memory))

    @torch.inference_mode()
    def locate(
        self, reference: tuple[Target, ...], features: ImageFeatures, memory: SamMemory | None
    ) -> Located[SamContext, SamMemory]:
        """See Segmenter; the memory plays no part in PerSAM's location prior."""
        # Whole frames: a prior per target over all of the padded input
        targets = tuple(_target_to(target, self.model.device) for target in reference)
        priors = tuple(locate(features, target) for target in targets)
        height, width = features.geometry.padded
        similarity = torch.cat([attention_similarity(prior, alignment=self.alignment) for prior in priors])
        return Located(
            priors=priors,
            features=features,
            windows=torch.tensor([0.0, 0.0, width, height]).repeat(len(priors), 1),
            context=SamContext(targets=targets, attn_sim=similarity),
            memory=memory,
        )

    def aim(
        self, reference: tuple[Target, ...], located: Located[SamContext, SamMemory], prompts: Sequence[PromptSet]
    ) -> tuple[Located[SamContext, SamMemory], Sequence[PromptSet]]:
        """See Segmenter: prompts reach the decoder as they are."""
        del reference
        return located, prompts

    @torch.inference_mode()
    def decode(
        self, located: Located[SamContext, SamMemory], prompts: Sequence[PromptSet], *, guided: bool, choice: Choice
    ) -> Decoded:
        """See Segmenter. SAM has no presence head: an object is there where its mask is not empty."""
        low_res, scores = choose(self.outputs(located, prompts, guided=guided), choice)
        return self._predict(located, low_res, scores)

    @torch.inference_mode()
    def outputs(
        self, located: Located[SamContext, SamMemory], prompts: Sequence[PromptSet], *, guided: bool
    ) -> DecoderOutput:
        """See Segmenter."""
        features, context = located.features, located.context
        # One decoder call per kind of prompts
        device = features.image_embedding.device
        groups, outputs = prompt_groups(prompts), []
        for group in groups:
            _refuse_nothing(prompts[group[0]])
            batch = stack_prompts([prompts[i] for i in group], features.geometry).to(device)
            guidance = None
            if guided:
                targets = torch.cat([context.targets[i].embedding for i in group])
                guidance = Guidance(attn_sim=context.attn_sim[group], target_embedding=targets)
            output = self.model.decode(
                features, points=batch.points, boxes=batch.boxes, masks=batch.masks, guidance=guidance
            )
            outputs.append(output if self.use_hq else replace(output, hq_masks=None))
        return join_outputs(outputs, groups)

    @torch.inference_mode()
    def show(
        self, located: Located[SamContext, SamMemory], logits: Tensor, *, scores: Tensor, presence: Tensor
    ) -> Decoded:
        """See Segmenter; what is not empty is there, whatever `presence` says."""
        del presence
        # On the grid of mask prompts, averaged where the logits are finer
        side = self.model.prompt_encoder.mask_input_size
        low_res = F.interpolate(logits, size=side, mode="bilinear", antialias=True)[:, 0]
        return self._predict(located, low_res, scores)

    def remembered_logits(self, located: Located[SamContext, SamMemory]) -> Tensor:
        """See Segmenter: every window is the whole frame."""
        assert located.memory is not None, "there is nothing to remember without a memory"
        return located.memory.logits.float()

    def _predict(self, located: Located[SamContext, SamMemory], low_res: Tensor, scores: Tensor) -> Decoded:
        """Masks of the image from low-resolution logits (K, L, L), with the similarity of the target to each."""
        features = located.features
        logits = masks_to_original(low_res[:, None], features.geometry)[:, 0]
        masks = logits > self.model.mask_threshold
        # The mean similarity over the cells of the embedding under each mask
        cells = F.interpolate(low_res[:, None], size=features.image_embedding.shape[-2:], mode="area")[:, 0] > 0
        similarity = torch.stack(
            [
                torch.where(inside, prior.grid, 0).sum() / inside.sum().clamp(min=1)
                for inside, prior in zip(cells, located.priors, strict=True)
            ]
        )
        prediction = MaskPrediction(masks=masks, scores=scores, low_res_logits=low_res, logits=logits)
        return Decoded(
            prediction=prediction,
            presence=masks.flatten(1).any(dim=1).float(),
            certainty=prediction.scores.clamp(0, 1),
            similarity=similarity,
        )

    def remember(self, located: Located[SamContext, SamMemory], decoded: Decoded, present: Tensor) -> SamMemory:
        """See Segmenter."""
        # Objects that are not there keep what was known of them
        prediction, memory = decoded.prediction, located.memory
        boxes, _ = inclusive_boxes(prediction.masks.cpu())
        logits = prediction.low_res_logits[:, None].half().cpu()
        missing = torch.zeros(len(boxes), dtype=torch.int64)
        if memory is not None:
            boxes = torch.where(present[:, None], boxes, memory.boxes)
            logits = torch.where(present[:, None, None, None], logits, memory.logits)
            missing = torch.where(present, missing, memory.missing + 1)
        return SamMemory(boxes=boxes, logits=logits, missing=missing)


def _target_to(target: Target, device: torch.device | str) -> Target:
    return Target(feature=target.feature.to(device), embedding=target.embedding.to(device), cells=target.cells)


def _refuse_nothing(prompt: PromptSet) -> None:
    """SAM without any prompt has nothing to go by; only lite has a dense location prior instead."""
    if not len(prompt.points) and prompt.box is None and prompt.mask_input is None:
        raise InputError("SAM's decoder got no point, box or mask; choose another prompt selector than dense_prior")
