"""`segment_anything.predictor`: SAM-HQ's predictor, with what PerSAM's adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persam_hq.compat.resize import ResizeLongestSide
from persam_hq.compat.tensor_prompts import encode_torch, predict_torch
from persam_hq.modeling.sam import Sam
from persam_hq.predictor import SamPredictor as _SamPredictor
from persam_hq.types import Guidance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from persam_hq.predictor import FloatArray, MaskArray
    from persam_hq.transforms import RgbImage
    from persam_hq.types import Size

__all__ = ["SamPredictor"]


class SamPredictor(_SamPredictor):
    """SAM-HQ's predictor with all its calls, and what PerSAM's adds: a mask beside the image, and guidance."""

    model: Sam

    def __init__(self, sam_model: Sam) -> None:
        super().__init__(sam_model)
        self.transform = ResizeLongestSide(max(sam_model.input_frame((1, 1)).padded))

    @property
    def interm_features(self) -> list[Tensor]:
        """The encoder's intermediate embeddings of the current image, (1, h, w, C) each."""
        return list(self.image_features.interm_embeddings)

    def set_image(  # type: ignore[override]  # with a mask there is something to return
        self,
        image: RgbImage,
        image_format: str = "RGB",
        mask: RgbImage | None = None,
        cal_image: bool = True,  # noqa: FBT001, FBT002 - as PerSAM's predictor has it
    ) -> Tensor | None:
        """Make (H, W, 3) uint8 the current image, unless not `cal_image`; `mask`, of its shape, comes back prepared."""
        return self._take(image, mask=mask, image_format=image_format, cal_image=cal_image)

    def set_torch_image(
        self,
        transformed_image: Tensor,
        original_image_size: Size,
        transformed_mask: Tensor | None = None,
        cal_image: bool = True,  # noqa: FBT001, FBT002 - as PerSAM's predictor has it
    ) -> Tensor | None:
        """Make (1, 3, h, w), resized already, the current image; the mask (1, 3, h, w) comes back prepared."""
        if cal_image:
            self._features = encode_torch(self.model, transformed_image, original_image_size)
        return None if transformed_mask is None else self.model.preprocess(transformed_mask.to(self.device))

    set_image_torch = set_torch_image

    def predict(  # noqa: PLR0917 - the published signature
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
        return_logits: bool = False,  # noqa: FBT001, FBT002 - as above
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> tuple[MaskArray, FloatArray, FloatArray]:
        """See persam_hq.SamPredictor.predict."""
        return super().predict(
            point_coords,
            point_labels,
            box,
            mask_input,
            multimask_output,
            return_logits,
            hq_token_only=hq_token_only,
            attn_sim=attn_sim,
            target_embedding=target_embedding,
        )

    def predict_torch(  # noqa: PLR0917 - the published signature
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
        return_logits: bool = False,  # noqa: FBT001, FBT002 - as above
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks (B, N, H, W), predicted IoU (B, N) and low-resolution logits (B, N, L, L') of B prompt sets.

        point_coords (B, P, 2), point_labels (B, P), boxes (B, 4): pixels of the input frame; mask_input (B, 1, L, L').
        """
        logits, scores, low_res = predict_torch(
            self.model,
            self.image_features,
            points=None if point_coords is None or point_labels is None else (point_coords, point_labels),
            boxes=boxes,
            masks=mask_input,
            multimask_output=multimask_output,
            hq_token_only=hq_token_only,
            guidance=Guidance(attn_sim=attn_sim, target_embedding=target_embedding),
        )
        return logits if return_logits else logits > self.model.mask_threshold, scores, low_res
