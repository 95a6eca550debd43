"""One training step of a SAM-type model: the reference personalizes, the target is segmented, the masks are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.modeling.sam import Sam
from persam_hq.training.data.pairs import Pair
from persam_hq.training.data.rng import Chances
from persam_hq.training.losses import FrameSampler, mask_iou, point_loss
from persam_hq.training.recipe import StepResult
from persam_hq.training.sam.encoded_views import EncodedViews, Personalization, encode_views, personalize_views
from persam_hq.training.sam.prompts import StepPlan, draw_prompts, guidance_of
from persam_hq.training.sam.schedule import PlacedStage
from persam_hq.types import DecoderOutput, Guidance

SINGLE_SHARE = 0.3
"""What the single mask's loss counts where one point leaves open what is meant."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How every step is computed: dtype of the matrix products, and points a mask for its loss."""

    precision: torch.dtype
    loss_points: int


@dataclass(frozen=True, slots=True, eq=False)
class Prompted:
    """A batch, encoded and prompted, as the decoder takes it; guidance is for the first pass only."""

    views: EncodedViews
    prompts: PromptBatch
    guidance: Guidance

    def __repr__(self) -> str:
        return f"Prompted({self.views!r}, {self.prompts!r})"


class SamStep:
    """A step of one stage: what it teaches decides which losses there are."""

    def __init__(self, model: Sam, placed: PlacedStage, settings: StepSettings) -> None:
        self.model, self.placed, self.settings = model, placed, settings

    def __call__(self, pairs: Sequence[Pair], plan: StepPlan, chances: Chances) -> StepResult:
        """The mean loss over the rows and over the passes; no row's loss depends on another row."""
        prompted = self.prompt(pairs, plan, chances)
        truth = prompted.views.masks
        output = self.decode(prompted.views, prompted.prompts, prompted.guidance)
        losses = [self._loss(output, truth, chances, ambiguous=plan.ambiguous)]
        figures = {f"iou_{plan.kind}": float(final_iou(output, truth, multimask=plan.ambiguous).mean())}
        if plan.second_pass:
            # A second, plain pass corrects the first, as cascaded post-refinement and a clicking user do
            again = replace(prompted.prompts, masks=best_masks(output, multimask=plan.ambiguous).detach())
            output = self.decode(prompted.views, again, Guidance())
            losses.append(self._loss(output, truth, chances, ambiguous=False))
            figures[f"iou_{plan.kind}+"] = float(final_iou(output, truth, multimask=False).mean())

        total = torch.stack([loss for named in losses for loss in named.values()]).sum() / len(losses)
        for name in losses[0]:
            figures[name] = float(sum(named[name].detach() for named in losses) / len(losses))
        return StepResult(loss=total, figures={"loss": float(total.detach()), **figures})

    def prompt(self, pairs: Sequence[Pair], plan: StepPlan, chances: Chances) -> Prompted:
        """Encode what is needed, personalize, and draw the prompts."""
        learns = self.placed.trains("image_encoder")
        precision = self.settings.precision
        views = encode_views(self.model, [pair.target for pair in pairs], precision=precision, learns=learns)
        found = self._personalize(pairs, views) if plan.needs_reference else None
        side, _ = self.model.prompt_encoder.mask_input_size
        prompts = draw_prompts(plan.kind, views, chances, found=found, side=side)
        return Prompted(views=views, prompts=prompts, guidance=guidance_of(plan, found))

    def decode(self, views: EncodedViews, prompts: PromptBatch, guidance: Guidance) -> DecoderOutput:
        """The decoder's masks for B views, float32."""
        precision, device = self.settings.precision, self.model.device.type
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            sparse, dense = self.model.prompt_encoder(points=prompts.points, boxes=prompts.boxes, masks=prompts.masks)
            output: DecoderOutput = self.model.mask_decoder(
                image_embeddings=views.embedding,
                image_pe=self.model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse.expand(len(views.masks), -1, -1),
                dense_prompt_embeddings=dense.expand(len(views.masks), -1, -1, -1),
                interm_embeddings=(views.early,),
                attn_sim=guidance.attn_sim,
                target_embedding=guidance.target_embedding,
            )
        return DecoderOutput(
            masks=output.masks.float(),
            iou_predictions=output.iou_predictions.float(),
            hq_masks=None if output.hq_masks is None else output.hq_masks.float(),
            presence=None if output.presence is None else output.presence.float(),
        )

    def _personalize(self, pairs: Sequence[Pair], views: EncodedViews) -> Personalization:
        references = [pair.reference for pair in pairs]
        encoded = encode_views(self.model, references, precision=self.settings.precision, learns=False)
        return personalize_views(self.model, encoded, views, masks=references)

    def _loss(self, output: DecoderOutput, truth: Tensor, chances: Chances, *, ambiguous: bool) -> dict[str, Tensor]:
        """SAM's and the HQ mask's losses, as far as the stage teaches these; their sum is what is descended."""
        losses = {}
        if self.placed.teaches_sam:
            losses["loss_sam"] = self._sam_loss(output, truth, chances, ambiguous=ambiguous)
        if self.placed.trains("hq"):
            assert output.hq_masks is not None
            # SAM-HQ teaches its mask alone, and adds SAM's to it only in use
            losses["loss_hq"] = self._mask_losses(output.hq_masks, truth, chances).mean()
        return losses

    def _sam_loss(self, output: DecoderOutput, truth: Tensor, chances: Chances, *, ambiguous: bool) -> Tensor:
        """The single mask, the best of the three (SAM, section 3), the IoU head, and presence where there is a head."""
        each = self._mask_losses(output.masks, truth, chances)
        loss = (SINGLE_SHARE if ambiguous else 1.0) * each[:, 0].mean() + each[:, 1:].amin(dim=1).mean()
        low_res = F.interpolate(truth[:, None], size=output.masks.shape[-2:], mode="area")
        loss = loss + F.mse_loss(output.iou_predictions, mask_iou(output.masks, low_res))
        if output.presence is not None:
            there = truth.flatten(1).any(dim=1).float()
            loss = loss + F.binary_cross_entropy_with_logits(output.presence, there)
        return loss

    def _mask_losses(self, logits: Tensor, truth: Tensor, chances: Chances) -> Tensor:
        """Cross-entropy plus dice, one each as in HQ-SAM, of masks (B, K, L, L') against (B, S, S): (B, K)."""
        sampler = FrameSampler(chances, number=self.settings.loss_points)
        return point_loss(logits, truth, sampler, entropy_weight=1.0)


def best_masks(output: DecoderOutput, *, multimask: bool) -> Tensor:
    """The masks (B, 1, L, L') that a user would get: the best-rated ones where there are three."""
    low_res, iou = select_masks(output, multimask_output=multimask)
    return low_res[torch.arange(len(iou), device=iou.device), iou.argmax(dim=1)][:, None]


def final_iou(output: DecoderOutput, truth: Tensor, *, multimask: bool) -> Tensor:
    """Their IoU (B,) with masks (B, S, S), on the grid of the logits."""
    best = best_masks(output, multimask=multimask).detach()
    wanted = F.interpolate(truth[:, None], size=best.shape[-2:], mode="area")
    return mask_iou(best, wanted)[:, 0]
