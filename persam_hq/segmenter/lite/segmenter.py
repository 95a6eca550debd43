"""lite as a segmenter: the model, its configuration, and the two stages that they are wired into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.modeling.lite.model import Lite
from persam_hq.segmenter.base import Choice, Decoded, Locate, Located, LookT
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.localization import LiteLocalizer
from persam_hq.segmenter.lite.mask_head import LiteContext, LiteMaskHead
from persam_hq.segmenter.lite.memory import LiteMemory, first_memory, memory_after
from persam_hq.segmenter.lite.reference import LiteReference, build_reference
from persam_hq.types import DecoderOutput, ImageFeatures, PromptSet

__all__ = ["LiteSegmenter"]


class LiteSegmenter:
    """The embedded model; the encoder runs in `dtype` where that is bfloat16 or float16, the rest in float32.

    `config` holds every number and switch of the tracker; without one it is the released tracker. Without `use_hq`
    masks are those of SAM's mask tokens alone.
    """

    def __init__(
        self,
        model: Lite,
        *,
        config: LiteConfig | None = None,
        dtype: torch.dtype = torch.float32,
        use_hq: bool = True,
    ) -> None:
        self.model = model.eval()
        self.config = config or LiteConfig()
        self.dtype = dtype
        self.use_hq = use_hq

    # Made anew for each call, as several segmenters may come to share one model

    @property
    def mask_head(self) -> LiteMaskHead:
        """The stage that makes masks."""
        return LiteMaskHead(model=self.model, config=self.config, use_hq=self.use_hq)

    @property
    def localizer(self) -> LiteLocalizer:
        """The stage that looks for the objects."""
        return LiteLocalizer(model=self.model, config=self.config, mask_head=self.mask_head)

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        # Only the encoder gains from fewer bits; all after it is small, and sensitive to rounding
        pixels, geometry = self.model.prepare(image)
        device = pixels.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype is not torch.float32):
            embedding, interm, hq = self.model.encode(pixels, with_hq=self.use_hq)
        return ImageFeatures(image_embedding=embedding, interm_embeddings=interm, geometry=geometry, hq_features=hq)

    @torch.inference_mode()
    def personalize(self, features: ImageFeatures, masks: Tensor) -> LiteReference:
        """See Segmenter."""
        return build_reference(self.model, features, masks.to(self.model.device), self.config).to("cpu")

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, masks: Tensor) -> LiteMemory:
        """See Segmenter."""
        return first_memory(self.model, features, masks.to(self.model.device), self.config).to("cpu")

    def look(
        self,
        reference: LiteReference,
        features: ImageFeatures,
        memory: LiteMemory | None,
        judge: Callable[[Located[LiteContext, LiteMemory]], LookT],
        *,
        locate: Locate[LiteReference, LiteMemory, LiteContext] | None = None,
    ) -> LookT:
        """See Segmenter: twice where a window cut an object off, and objects are lost that a cut left behind."""
        # The first look, from where the objects were
        locate = locate or self.locate
        if memory is not None:
            memory = self.localizer.after_cut(features, memory)
        located = locate(reference, features, memory)
        look = judge(located)

        # The second look goes by the boxes of the first one, and remembers what was known before both
        recentred = self.localizer.second_look(located, look.decoded, look.present)
        if recentred is None:
            return look
        return judge(replace(locate(reference, features, recentred), memory=memory))

    @torch.inference_mode()
    def locate(
        self, reference: LiteReference, features: ImageFeatures, memory: LiteMemory | None
    ) -> Located[LiteContext, LiteMemory]:
        """See Segmenter."""
        return self.localizer.locate(reference, features, memory)

    @torch.inference_mode()
    def aim(
        self, reference: LiteReference, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet]
    ) -> tuple[Located[LiteContext, LiteMemory], Sequence[PromptSet]]:
        """See Segmenter: windows go where the prompts are, and what these contradict is left out of the prior."""
        return self.localizer.aim(reference, located, prompts)

    @torch.inference_mode()
    def decode(
        self, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet], *, guided: bool, choice: Choice
    ) -> Decoded:
        """See Segmenter."""
        return self.mask_head.decode(located, prompts, guided=guided, choice=choice)

    @torch.inference_mode()
    def outputs(
        self, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet], *, guided: bool
    ) -> DecoderOutput:
        """See Segmenter."""
        return self.mask_head.outputs(located, prompts, guided=guided)

    @torch.inference_mode()
    def show(
        self, located: Located[LiteContext, LiteMemory], logits: Tensor, *, scores: Tensor, presence: Tensor
    ) -> Decoded:
        """See Segmenter."""
        return self.mask_head.predict(located, logits, scores=scores, presence=presence)

    @torch.inference_mode()
    def decode_scales(self, located: Located[LiteContext, LiteMemory]) -> Tensor:
        """The three masks of K objects that PerSAM-F weighs, from the dense prior: logits (K, 3, H, W)."""
        return self.mask_head.scales(located)

    @torch.inference_mode()
    def decode_weighed(self, located: Located[LiteContext, LiteMemory], weights: Tensor) -> Decoded:
        """K objects from the dense prior, the three masks of each weighed into one by `weights` (K, 3)."""
        return self.mask_head.decode_weighed(located, weights)

    def remembered_logits(self, located: Located[LiteContext, LiteMemory]) -> Tensor:
        """See Segmenter."""
        return self.localizer.remembered_logits(located)

    @torch.inference_mode()
    def remember(self, located: Located[LiteContext, LiteMemory], decoded: Decoded, present: Tensor) -> LiteMemory:
        """See Segmenter."""
        assert located.memory is not None, "lite remembers from the first frame on"
        return memory_after(
            self.model,
            located.features,
            decoded,
            located.memory,
            windows=located.windows,
            boxes=self.mask_head.tracked_boxes(located, decoded),
            present=present,
            learns=~located.context.contradicted.cpu(),
            config=self.config,
        )
