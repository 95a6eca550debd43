"""`per_segment_anything.predictor`: PerSAM's predictor, with SAM-HQ's `hq_token_only`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persam_hq.compat.resize import ResizeLongestSide
from persam_hq.compat.tensor_prompts import encode_torch, predict_torch
from persam_hq.modeling.sam import Sam
from persam_hq.predictor import PerSamPredictor
from persam_hq.types import Guidance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from persam_hq.predictor import FloatArray, MaskArray
    from persam_hq.transforms import RgbImage
    from persam_hq.types import Size

__all__ = ["SamPredictor"]


class SamPredictor(PerSamPredictor):
    """PerSAM's predictor with all its calls, and SAM-HQ's `hq_token_only`."""

    model: Sam

    def __init__(self, sam_model: Sam) -> None:
        super().__init__(sam_model)
        self.transform = ResizeLongestSide(max(sam_model.input_frame((1, 1)).padded))

    def set_image(
        self,
        image: RgbImage,
        mask: RgbImage | None = None,
        image_format: str = "RGB",
        cal_image: bool = True,  # noqa: FBT001, FBT002 - as PerSAM's predictor has it
    ) -> Tensor | None:
        """See PerSamPredictor.set_image; unlike the published one, it does what `cal_image` says."""
        return super().set_image(image, mask, image_format, cal_image=cal_image)

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
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
        *,
        hq_token_only: bool = False,
    ) -> tuple[MaskArray, FloatArray, FloatArray, Tensor]:
        """See persam_hq.PerSamPredictor.predict."""
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
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
        *,
        hq_token_only: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Masks (B, N, H, W), predicted IoU (B, N), low-resolution logits (B, N, L, L') and logits (B, N, H, W)."""
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
        return logits if return_logits else logits > self.model.mask_threshold, scores, low_res, logits
