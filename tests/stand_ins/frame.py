"""Inputs of strategies for tests: priors, views, predictions, and a decoder with prepared answers."""

import numpy as np
import torch

from persam_hq.types import ImageGeometry, LocationPrior, MaskPrediction, PromptSet
from persamhq_video.plugin.registry import Register
from persamhq_video.protocols import FirstFrame, FrameInfo, ObjectView, Seen

SIZE = (30, 40)
FRAME = FrameInfo(index=3, size=SIZE)
NO_PROMPTS = PromptSet.from_points()
UNSEEN = ObjectView(object_id=1, box=None, mask_logits=None, missing=0)


def view(*box, mask_logits=None, missing=0, slot=None):
    return ObjectView(
        object_id=1, box=tuple(map(float, box)) or None, mask_logits=mask_logits, missing=missing, slot=slot
    )


def prior_of(similarity, *, embedding=None, grid=None, padded=None):
    """A prior with this similarity (H, W); features (C, h, w) over `padded`, by default over the image alone."""
    size = tuple(similarity.shape)
    shape = (2, 2) if embedding is None else tuple(embedding.shape[1:])
    return LocationPrior(
        grid=torch.zeros(shape) if grid is None else grid,
        similarity=similarity,
        geometry=ImageGeometry(original=size, input=size, padded=padded or size),
        embedding=embedding,
    )


def peaks(*values, size=SIZE):
    """A prior that is 0 but for some pixels (value, (x, y))."""
    similarity = torch.zeros(size)
    for value, (x, y) in values:
        similarity[y, x] = value
    return prior_of(similarity)


def rectangles(*boxes, size=SIZE):
    """A mask (H, W) bool of rectangles (x0, y0, x1, y1), last column and row excluded."""
    mask = torch.zeros(size, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def predicted(*masks, inside=3.0, outside=-3.0, mark=0.0):
    """One mask per object; `mark` is each low-resolution logit of the first object, that of the next is 1 more."""
    stacked = torch.stack(masks)
    return MaskPrediction(
        masks=stacked,
        scores=torch.ones(len(masks)),
        low_res_logits=mark + torch.arange(len(masks))[:, None, None].expand(-1, 4, 4).float(),
        logits=torch.where(stacked, inside, outside),
    )


class RecordingDecode:
    """A decoder that returns the given predictions in order, and records the prompts of each call."""

    def __init__(self, *predictions, slots=(), frame=FRAME):
        self.predictions, self.asked = list(predictions), []
        self.slots, self.frame = slots, frame

    def __call__(self, prompts):
        self.asked.append(prompts)
        return self.predictions[len(self.asked) - 1]


def refined(refiner, prediction, *, decode=None, image=None):
    """The result of a refiner, checked for what all promise: inputs unchanged, masks where logits are above 0."""
    k, height, width = prediction.masks.shape
    before = prediction.logits.clone(), prediction.masks.clone()
    image = np.zeros((height, width, 3), np.uint8) if image is None else image
    found = refiner(prediction, [NO_PROMPTS] * k, decode or RecordingDecode(), image)
    assert torch.equal(prediction.logits, before[0])
    assert torch.equal(prediction.masks, before[1])
    assert found.masks.shape == prediction.masks.shape
    assert found.logits.dtype == prediction.logits.dtype
    assert torch.equal(found.masks, found.logits > 0)
    return found


def first_frame(*masks, prior=None, image=None, decode=None, prompts=()):
    height, width = masks[0].shape
    return FirstFrame(
        frame=FrameInfo(index=0, size=(height, width)),
        object_ids=tuple(range(1, len(masks) + 1)),
        image=np.zeros((height, width, 3), np.uint8) if image is None else image,
        masks=torch.stack(masks),
        priors=(prior,) * len(masks),
        prompts=prompts,
        decode=decode or RecordingDecode(),
    )


def seen(mask, *, prior=None, state="present", score=0.95):
    frame = FrameInfo(index=4, size=tuple(mask.shape))
    return Seen(frame=frame, object_id=1, state=state, score=score, mask=mask, prior=prior)


def registered(hook):
    """The entries that a plugin's hook registers, by name."""
    register = Register("strategy")
    hook(register)
    return {entry.name: entry for entry in register.entries()}
