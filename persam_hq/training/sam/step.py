"""One training step of a SAM-type model: personalize on references, segment targets, compute the losses."""

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
from persam_hq.training.data.rng import StepRng
from persam_hq.training.losses import FrameSampler, mask_iou, point_loss
from persam_hq.training.recipe import StepResult
from persam_hq.training.sam.encoded_views import EncodedViews, Personalization, encode_views, personalize_views
from persam_hq.training.sam.prompts import StepPlan, draw_prompts, guidance_of
from persam_hq.training.sam.schedule import ScheduledStage
from persam_hq.types import DecoderOutput, Guidance

SINGLE_MASK_WEIGHT = 0.3
"""Weight of the single mask's loss where one point leaves open what is meant. Chosen; the best of three counts as 1."""


@dataclass(frozen=True, slots=True)
class StepSettings:
    """Settings of every step: the dtype of matrix products, and the number of points of each mask for its loss."""

    precision: torch.dtype
    loss_points: int


@dataclass(frozen=True, slots=True, eq=False)
class Prompted:
    """An encoded batch with its prompts, as the decoder takes it; guidance is for the first pass only."""

    views: EncodedViews
    prompts: PromptBatch
    guidance: Guidance

    def __repr__(self) -> str:
        return f"Prompted({self.views!r}, {self.prompts!r})"


class SamStep:
    """Computes the steps of one training stage; the parts that learn in it decide which losses there are."""

    def __init__(self, model: Sam, placed: ScheduledStage, settings: StepSettings) -> None:
        self.model, self.placed, self.settings = model, placed, settings

    def __call__(self, pairs: Sequence[Pair], plan: StepPlan, rng: StepRng) -> StepResult:
        """The mean loss over the rows and over the passes; the loss of a row depends on no other row."""
        # The first pass, from the simulated prompt
        prompted = self.prompt(pairs, plan, rng)
        truth = prompted.views.masks
        output = self.decode(prompted.views, prompted.prompts, prompted.guidance)
        losses = [self._loss(output, truth, rng, ambiguous=plan.ambiguous)]
        figures = {f"iou_{plan.kind}": float(final_iou(output, truth, multimask=plan.ambiguous).mean())}

        # A second, plain pass corrects the first, as cascaded post-refinement and a clicking user do
        if plan.second_pass:
            again = replace(prompted.prompts, masks=best_masks(output, multimask=plan.ambiguous).detach())
            output = self.decode(prompted.views, again, Guidance())
            losses.append(self._loss(output, truth, rng, ambiguous=False))
            figures[f"iou_{plan.kind}+"] = float(final_iou(output, truth, multimask=False).mean())

        # The loss to descend, and its parts as figures
        total = torch.stack([loss for named in losses for loss in named.values()]).sum() / len(losses)
        for name in losses[0]:
            figures[name] = float(sum(named[name].detach() for named in losses) / len(losses))
        return StepResult(loss=total, figures={"loss": float(total.detach()), **figures})

    def prompt(self, pairs: Sequence[Pair], plan: StepPlan, rng: StepRng) -> Prompted:
        """Encode targets, and references where anything is computed from them, and draw the prompts."""
        learns = self.placed.trains("image_encoder")
        precision = self.settings.precision
        views = encode_views(self.model, [pair.target for pair in pairs], precision=precision, learns=learns)
        found = self._personalize(pairs, views) if plan.needs_reference else None
        side, _ = self.model.prompt_encoder.mask_input_size
        prompts = draw_prompts(plan.kind, views, rng, found=found, side=side)
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

    def _loss(self, output: DecoderOutput, truth: Tensor, rng: StepRng, *, ambiguous: bool) -> dict[str, Tensor]:
        """The losses of SAM's masks and of the HQ mask, as far as the stage teaches them, by name."""
        losses = {}
        if self.placed.teaches_sam:
            losses["loss_sam"] = self._sam_loss(output, truth, rng, ambiguous=ambiguous)
        if self.placed.trains("hq"):
            assert output.hq_masks is not None
            # HQ-SAM's loss is of the HQ mask alone; SAM's mask is added to it in inference only
            losses["loss_hq"] = self._mask_losses(output.hq_masks, truth, rng).mean()
        return losses

    def _sam_loss(self, output: DecoderOutput, truth: Tensor, rng: StepRng, *, ambiguous: bool) -> Tensor:
        """The losses of SAM's own heads: masks, predicted IoU, and presence where there is a head for it."""
        # The single mask, and of the other three the best one alone (SAM, section 3)
        each = self._mask_losses(output.masks, truth, rng)
        loss = (SINGLE_MASK_WEIGHT if ambiguous else 1.0) * each[:, 0].mean() + each[:, 1:].amin(dim=1).mean()

        # The IoU head learns the IoU of each mask as it is
        low_res = F.interpolate(truth[:, None], size=output.masks.shape[-2:], mode="area")
        loss = loss + F.mse_loss(output.iou_predictions, mask_iou(output.masks, low_res))
        if output.presence is not None:
            there = truth.flatten(1).any(dim=1).float()
            loss = loss + F.binary_cross_entropy_with_logits(output.presence, there)
        return loss

    def _mask_losses(self, logits: Tensor, truth: Tensor, rng: StepRng) -> Tensor:
        """Cross-entropy plus dice, one each as in HQ-SAM, of masks (B, K, L, L') against (B, S, S): (B, K)."""
        sampler = FrameSampler(rng, number=self.settings.loss_points)
        return point_loss(logits, truth, sampler, entropy_weight=1.0)


def best_masks(output: DecoderOutput, *, multimask: bool) -> Tensor:
    """The masks (B, 1, L, L') that inference would return: those rated best where there are three."""
    low_res, iou = select_masks(output, multimask_output=multimask)
    return low_res[torch.arange(len(iou), device=iou.device), iou.argmax(dim=1)][:, None]


def final_iou(output: DecoderOutput, truth: Tensor, *, multimask: bool) -> Tensor:
    """The IoU (B,) of those masks with the true ones (B, S, S), on the grid of the logits."""
    best = best_masks(output, multimask=multimask).detach()
    wanted = F.interpolate(truth[:, None], size=best.shape[-2:], mode="area")
    return mask_iou(best, wanted)[:, 0]
