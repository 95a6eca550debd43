"""Localization in lite's tracker: where each object's window lies on a frame, and the dense prior in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.location_prior import PREVIOUS_CHANNELS, PriorSources
from persam_hq.modeling.lite.matching import MatchMemory, directions
from persam_hq.modeling.lite.model import Lite, guided_similarity
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT, move_window, paste_window
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.personalization import locate
from persam_hq.segmenter.base import Decoded, Located
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.mask_head import LiteContext, LiteMaskHead
from persam_hq.segmenter.lite.memory import LiteMemory, decode_logits, follows_a_cut
from persam_hq.segmenter.lite.prompted import (
    agreeing,
    draw_prompts,
    drawn_over,
    moved_prompts,
    prompted_boxes,
    speaks,
)
from persam_hq.segmenter.lite.reference import LiteReference
from persam_hq.segmenter.lite.windows import (
    moved_boxes,
    outer_edges,
    touches_window_edge,
    tracking_windows,
    whole_windows,
)
from persam_hq.transforms import boxes_to_input
from persam_hq.types import ImageFeatures, ImageGeometry, LocationPrior, PromptSet, Target

__all__ = ["LiteLocalizer"]


@dataclass(frozen=True, slots=True, eq=False)
class LiteLocalizer:
    """Places the windows, and computes the prior from the reference and the memory; `mask_head` decodes searches."""

    model: Lite
    config: LiteConfig
    mask_head: LiteMaskHead

    def locate(
        self, reference: LiteReference, features: ImageFeatures, memory: LiteMemory | None
    ) -> Located[LiteContext, LiteMemory]:
        """See Segmenter. Objects without a memory, or missing, are searched for over the whole frame first."""
        geometry, device = features.geometry, self.model.device
        known = self._with_appearance(reference.to(device), memory)
        past = None if memory is None else memory.to(device)

        # Windows: the whole frame, or around the last boxes, or around what a search finds of lost objects
        windows = whole_windows(geometry, len(known.targets), device=device)
        lost = torch.ones_like(windows[:, 0], dtype=torch.bool)
        if past is not None and not self.config.whole_frame:
            lost = past.missing > 0
            windows = self._windows_from(past, geometry)
        searches = past is None or self.config.search
        if lost.any() and searches and not self.config.whole_frame:
            windows = torch.where(lost[:, None], self._search(known, features), windows)

        context = self._context(known, features, windows, past, forget=lost)
        priors = tuple(_target_similarity(features, target) for target in known.targets)
        return Located(priors=priors, features=features, windows=windows, context=context, memory=memory)

    def aim(
        self, reference: LiteReference, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet]
    ) -> tuple[Located[LiteContext, LiteMemory], Sequence[PromptSet]]:
        """See Segmenter. Without prompts, or where they do not decide, everything stays as it is."""
        if not (self.config.prompts_decide and any(map(speaks, prompts))):
            return located, prompts

        # Windows go around boxes, and to points outside of them
        features, geometry = located.features, located.features.geometry
        boxes, elsewhere = prompted_boxes(prompts, located.windows, geometry, self.config)
        windows = torch.where(elsewhere[:, None], tracking_windows(boxes, geometry, self.config), located.windows)

        # The prior in them, with the prompts in it
        known = self._with_appearance(reference.to(self.model.device), located.memory)
        past = None if located.memory is None else located.memory.to(self.model.device)
        lost = torch.ones_like(elsewhere) if past is None else past.missing > 0
        prompts = moved_prompts(prompts, located.windows, windows)
        context = self._context(known, features, windows, past, forget=lost)
        drawn = draw_prompts(prompts, windows, geometry, self.config, grid=self.model.geometry.mask_grid)
        agrees = agreeing(prompts, drawn, context.prior, self.config)
        prior = drawn_over(
            self.model, context.window_features, context.prior, drawn=drawn, agrees=agrees, config=self.config
        )
        context = replace(context, prior=prior, contradicted=~agrees, pointed=drawn.inside)
        return replace(located, windows=windows, context=context), prompts

    @torch.inference_mode()
    def after_cut(self, features: ImageFeatures, memory: LiteMemory) -> LiteMemory:
        """`memory`, with objects counted as missing where nothing around them is as it was on the last frame."""
        if self.config.whole_frame or not self.config.search:
            return memory
        # Each object by itself: where another one's surroundings changed, it is still followed
        windows = self._windows_from(memory, features.geometry).to(self.model.device)
        cut = follows_a_cut(features, windows, memory, self.config).cpu()
        return replace(memory, missing=memory.missing.clamp(min=cut.long())) if cut.any() else memory

    @torch.inference_mode()
    def second_look(
        self, located: Located[LiteContext, LiteMemory], decoded: Decoded, present: Tensor
    ) -> LiteMemory | None:
        """The memory to locate with once more, where the mask of a `present` (K,) object reaches its window's edge.

        It is that of `located` with the boxes of those masks, at rest; None where no window cuts anything off.
        """
        # A window over the whole frame cuts nothing off
        memory = located.memory
        if memory is None or self.config.whole_frame or not self.config.second_look:
            return None
        masks = decoded.prediction.low_res_logits > 0
        touching = touches_window_edge(masks, located.windows, located.features.geometry, self.config).cpu()
        # An object that was missing is searched for over the whole frame anyway
        cut_off = (touching & present & (memory.missing == 0))[:, None]
        if not cut_off.any():
            return None
        boxes = torch.where(cut_off, self.mask_head.tracked_boxes(located, decoded).cpu(), memory.boxes)
        return replace(memory, boxes=boxes, velocity=torch.where(cut_off, 0.0, memory.velocity))

    def remembered_logits(self, located: Located[LiteContext, LiteMemory]) -> Tensor:
        """See Segmenter."""
        # What the last window did not see counts as background
        memory = located.memory
        assert memory is not None, "there is nothing to remember without a memory"
        logits = decode_logits(memory.logits, self.config)
        moved, covered = move_window(
            logits, source=memory.windows, destination=located.windows.cpu(), grid=logits.shape[-1]
        )
        return torch.where(covered > 0, moved, OUTSIDE_LOGIT)

    def _with_appearance(self, reference: LiteReference, memory: LiteMemory | None) -> LiteReference:
        """The reference with what was learned since the first frame."""
        if memory is None:
            return reference
        learned = memory.appearance.to(self.model.device)
        return reference.extended(
            examples=learned.examples if self.config.memory_frames else None,
            sums=learned.ridge if self.config.ridge_updates else None,
        )

    def _windows_from(self, memory: LiteMemory, geometry: ImageGeometry) -> Tensor:
        """Windows (K, 4) around the last boxes, moved on with the objects."""
        boxes = outer_edges(memory.boxes)
        if self.config.motion:
            boxes = moved_boxes(boxes, memory.velocity, self.config)
        return tracking_windows(boxes_to_input(boxes, geometry), geometry, self.config)

    def _search(self, reference: LiteReference, features: ImageFeatures) -> Tensor:
        """Windows around what a decoder pass over the whole frame finds; the whole frame where that is nothing."""
        # One pass through windows over the whole frame
        geometry = features.geometry
        whole = whole_windows(geometry, len(reference.targets), device=self.model.device)
        everything = torch.ones_like(whole[:, 0], dtype=torch.bool)
        context = self._context(reference, features, whole, None, forget=everything)
        output = self.mask_head.run(context, range(len(whole)), PromptBatch(), guided=True)
        logits, _ = select_masks(output, multimask_output=False)

        # Windows around the masks in it
        masks = paste_window(logits, whole, size=geometry.input, scale=(1.0, 1.0))[:, 0] > 0
        boxes, empty = inclusive_boxes(masks)
        windows = tracking_windows(outer_edges(boxes), geometry, self.config)
        return torch.where(empty[:, None], whole, windows)

    def _context(
        self,
        reference: LiteReference,
        features: ImageFeatures,
        windows: Tensor,
        memory: LiteMemory | None,
        *,
        forget: Tensor,
    ) -> LiteContext:
        """The frame through the windows; objects to `forget` (K,) bool get no prior from the previous frame."""
        # The features and the prior in the windows
        seen = self.model.through_windows(
            features.image_embedding, features.interm_embeddings, windows, hq=features.hq_features
        )
        previous, mask = self._previous_sources(memory, windows)
        sources = PriorSources(
            first=reference.first if self.config.first_matching else None,
            ridge=reference.ridge if self.config.ridge else None,
            previous=previous,
            previous_mask=mask,
        )
        prior = self.model.prior(seen, sources)
        # Of a lost object it is not known where it was, which is told as without a previous frame
        prior[:, PREVIOUS_CHANNELS] *= (~forget).float()[:, None, None, None]
        return LiteContext(
            window_features=seen,
            prior=prior,
            targets=reference.targets,
            attn_sim=guided_similarity(seen.embedding, reference.targets),
            contradicted=torch.zeros_like(forget),
        )

    def _previous_sources(self, memory: LiteMemory | None, windows: Tensor) -> tuple[MatchMemory | None, Tensor | None]:
        """The last result as sources of the prior: its keys to match, and its mask as it lies in `windows` (K, 4)."""
        if memory is None or not self.config.previous_frame:
            return None, None
        # Both are bytes in the memory
        keys, logits = directions(memory.keys, dim=1), decode_logits(memory.logits, self.config)
        return self.model.previous_sources(keys, logits, source=memory.windows, destination=windows)


def _target_similarity(features: ImageFeatures, target: Tensor) -> LocationPrior:
    """PerSAM's location prior of one target (C,), over the whole frame."""
    # The similarity ignores lengths; the cells of the reference play no part in locating
    unit = F.normalize(target, dim=0)
    whole = ImageFeatures(
        image_embedding=features.image_embedding.float(), interm_embeddings=(), geometry=features.geometry
    )
    return locate(whole, Target(feature=unit, embedding=target[None, None], cells=1))
