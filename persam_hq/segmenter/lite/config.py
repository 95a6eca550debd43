"""The configuration of lite's tracker: every number and every switch of it, with unit, range and reason.

The numbers of the model itself are elsewhere: grids and strides in `persam_hq.build.lite` (`LiteGeometry`), what the
training learned (temperatures, reach, ridge regularisation) in the weights. "The seven clips" below are the clips of
DAVIS that the weights were trained on, "the chair" is a clip that no training has seen, and "the validation clips" are
dance-twirl, goat and scooter-black; `docs/explanation/lite.md` tells the comparisons at length. "Chosen" means that no
comparison is on record.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from persam_hq.errors import InputError
from persam_hq.options import TRACKER_PARTS, TrackerPart

__all__ = ["SMALLEST_SHARE", "LiteConfig"]

SMALLEST_SHARE: Final = 1e-6
"""Share of a cell below which nothing of it counts as covered; it only keeps divisions finite, and tunes nothing."""


def _number(default: float, *, unit: str, low: float, high: float) -> Any:
    """A field of `LiteConfig` that lies in [low, high]; unit and range are kept as its metadata."""
    return field(default=default, metadata={"unit": unit, "range": (low, high)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteConfig:
    """Numbers and switches of lite's tracker; the defaults are the released tracker, `published` is PerSAM's procedure.

    Every number names its unit and range as metadata of its field, and what lies outside is an InputError. The
    switches that `--without PART` turns off have the parts' names (`persam_hq.options.TrackerPart`); their worth in
    J&F is the mean over the validation clips of the full tracker minus the one without the part.
    """

    # Windows: the square around each object that the decoder sees

    reference_factor: float = _number(1.1, unit="times the longer side of the box", low=1, high=10)
    """Window on the first frame, in which it is remembered finely. Measured: together with the memory's 48 cells a side
    (1.25 with 64 cells, and 1.5 with 48, before); soapbox +0.7, camel +1.0, libby +0.5, the chair +0.9 in J&F."""
    track_factor: float = _number(1.5, unit="times the longer side of the box", low=1, high=10)
    """Window on later frames, around the last box. Chosen: room for motion and growth of one frame."""
    min_side: float = _number(96.0, unit="pixels of the encoder's input", low=1, high=10_000)
    """Smallest side of a window, so that a tiny object has surroundings to be told from. Chosen."""
    edge_cells: int = _number(2, unit="cells of the decoder's mask", low=1, high=100)
    """Outermost cells of a window in which a mask is taken to go on beyond it, see `second_look`. Chosen."""

    # Motion: where the window of the next frame lies

    velocity_mean: float = _number(0.5, unit="share", low=0, high=1)
    """Weight of the velocity so far in its running mean; the rest is the newest motion. Chosen."""
    motion_limit: float = _number(0.5, unit="times the longer side of the box", low=0, high=10)
    """Farthest that a box is moved per frame, so that one wrong box cannot throw the window away. Chosen."""

    # Reference: the first frame

    target_share: float = _number(0.25, unit="share of a cell", low=0, high=1)
    """Covered share from which a cell counts for the target embedding; an object without such a cell has the cell that
    it covers most. Chosen; the training uses the same share."""
    first_logit_peak: float = _number(4.0, unit="logit", low=0.1, high=15)
    """Logit that the given mask has well inside of the object, as if the first frame had been tracked without a fault.
    Chosen; the training begins its clips with the same logits."""
    target_maximum: bool = False
    """Whether the target is half mean and half maximum of the features under the mask, as in PerSAM-F, instead of their
    mean. Measured: not by itself; only `published` does so."""

    # Memory: what travels to the next frame

    logit_step: float = _number(0.125, unit="logit", low=0.01, high=1)
    """Step of remembered logits, which are bytes: 1/8 reaches as far as +-15.9. Chosen for the bound of the travelling
    state; a power of two, so that rounding is all that is lost."""

    # Appearance: confident frames, learned from

    confident: float = _number(0.7, unit="probability", low=0, high=1)
    """Presence times predicted IoU above which a result is learned from. Chosen."""
    appearance_slots: int = _number(2, unit="frames", low=1, high=16)
    """Confident frames that are kept for matching, the newest ones. Chosen for the bound of the travelling state."""
    appearance_interval: int = _number(6, unit="frames", low=1, high=1000)
    """Fewest frames between two that are kept, as neighbours say the same. Chosen."""
    ridge_rate: float = _number(0.1, unit="share", low=0, high=1)
    """Weight of each confident frame in the running mean of the ridge classifier's sums, which together weigh at most
    as much as the first frame: appearance drifts, the first frame stays. Chosen."""

    # Cuts: whether a frame goes on from the last one

    cut_grid: int = _number(12, unit="cells a side of a window", low=1, high=100)
    """Cells that are compared with the last frame. Measured: the same answers as with all cells of the window, and 3 ms
    less per frame."""
    cut_similarity: float = _number(0.7, unit="cosine", low=-1, high=1)
    """Mean similarity to the nearest cells of the last frame below which there was a cut. Measured: on cuts among the
    seven clips and the chair, after which the presence head said yes on nearly every frame. With it and `alike`, 692 of
    720 frames after a cut are called absent (90 pairs of ten clips)."""

    # Mask selection: the decoder's masks, and HQ's correction of them

    single_bonus: float = _number(0.1, unit="IoU", low=0, high=2)
    """What mask 0 is ahead by in predicted IoU plus agreement with the prior, as it is trained for what the prior says.
    Chosen."""
    hq_reach: int = _number(6, unit="cells of SAM's mask", low=1, high=100)
    """Cells on either side of the border of SAM's mask in which HQ has a say (3 before). Measured: with `hq_block` and
    `hq_gain`, HQ's F on the seven clips is 0.1 to 0.7 above SAM's (0.0 to 0.4 before), on the chair 0.01 below (0.08
    before)."""
    hq_block: int = _number(16, unit="cells of the HQ mask", low=1, high=1000)
    """Block whose mean is left out of the HQ mask, so that detail remains: the mean moved whole borders. Measured: see
    `hq_reach`."""
    hq_gain: float = _number(2.0, unit="times", low=0, high=10)
    """How strongly HQ's detail is added. Measured: see `hq_reach`."""

    # Presence: whether the mask covers the object at all

    alike: float = _number(0.63, unit="cosine", low=-1, high=1)
    """Mean of the best similarities under a mask to known foreground, at which it may as well be the object as not.
    Measured: 0.60 or less on what is not the object (camel and horse stand for each other, 0.67), 0.64 or more on the
    object itself up to the last frames of its clip; the seven clips and the chair."""
    alike_width: float = _number(0.02, unit="cosine", low=0.0001, high=1)
    """How sharply the probability turns at `alike`. Chosen: the gap between the two sides."""

    # Sources of the dense prior that are used

    first_matching: bool = True
    """Dense matching to the first frame. Measured: worth 13.5 J&F."""
    previous_frame: bool = True
    """Dense matching to the previous frame, and its mask seen through the window of now. Measured: worth 0.1 J&F."""
    ridge: bool = True
    """The target model, a ridge classifier on the keys. Measured: worth 0.2 J&F."""
    ridge_updates: bool = True
    """Confident frames added to the target model. Measured: worth 0.0 J&F."""
    memory_frames: bool = True
    """Confident frames matched like the first one. Measured: worth 4.5 J&F."""

    # Steps of the tracker that are taken

    motion: bool = True
    """Whether windows move on with the velocity. Measured: worth 0.0 J&F."""
    second_look: bool = True
    """Whether a frame is looked at once more, through a window around the mask, where that mask reaches the edge of its
    window. Measured: worth 0.2 J&F; +0.4 on libby and +0.2 on camel with libby."""
    choice: bool = True
    """Whether of the decoder's masks the one that agrees best with the prior is taken, instead of always the single
    one. Measured: worth 0.0 J&F."""
    hq_agreement: bool = True
    """Whether only the detail of the HQ mask is used, and only along the border of SAM's, instead of all of it.
    Measured: worth 0.0 J&F, as the decoder's default leaves HQ out; see `hq_reach`."""
    presence: bool = True
    """Whether a mask that is not like the object makes it absent. Measured: worth 0.0 J&F where objects stay; see
    `cut_similarity`."""
    search: bool = True
    """Whether an object that was lost, or that a cut left behind, is looked for in the whole frame. Measured: worth 0.0
    J&F where objects stay; see `cut_similarity`."""

    # Prompts of a strategy, against the prior

    prompts_decide: bool = True
    """Whether prompts that contradict the dense prior stand alone, and others are drawn over it, instead of being
    tokens beside it, which the decoder hardly heeds. Measured: a box and a point in another corner agreed with no
    prompts at all at an IoU of 0.993."""
    prompt_overlap: float = _number(0.5, unit="share", low=0, high=1)
    """Part of what matching finds that has to lie in a box, and IoU with a mask prompt, from which the two agree.
    Chosen."""

    prompt_covered: float = _number(0.5, unit="share of a cell", low=0, high=1)
    """Share from which a cell belongs to a disk or lies in a box; and the share of the positive points' disks that
    matching has to find for the two to agree. Chosen."""
    prompt_disk_alone: float = _number(0.1, unit="window sides", low=0, high=1)
    """Radius of a positive point's disk where prompts stand alone; that of image prompts. Chosen."""
    prompt_disk_over: float = _number(0.03, unit="window sides", low=0, high=1)
    """Radius of a point's disk over what matching says, and of what a negative point cuts out: no wider than thin parts
    are. Chosen."""

    # What `published` does instead

    whole_frame: bool = False
    """Whether the decoder always sees the whole frame instead of windows. Measured: only as all of `published`."""
    published_selection: bool = False
    """Whether masks are selected as by SAM-HQ's predictor, HQ's correction being added on the decoder's grid.
    Measured: only as all of `published`."""

    def __post_init__(self) -> None:
        for each in fields(self):
            low, high = each.metadata.get("range", (False, True))
            value = getattr(self, each.name)
            if not low <= value <= high:
                raise InputError(f"LiteConfig.{each.name} is {value}; expected a value from {low} to {high}")

    @classmethod
    def published(cls) -> LiteConfig:
        """PerSAM's procedure on lite: whole frames, no dense prior, PerSAM-F's target, SAM-HQ's choice of the mask.

        Measured on the validation clips: J&F 44.4, where the tracker has 84.9.
        """
        return cls(
            target_maximum=True,
            first_matching=False,
            previous_frame=False,
            ridge=False,
            ridge_updates=False,
            memory_frames=False,
            second_look=False,
            search=False,
            prompts_decide=False,
            whole_frame=True,
            published_selection=True,
        )

    def without(self, *parts: TrackerPart) -> LiteConfig:
        """The same with parts of the tracker left out, as `--without PART` does; InputError for an unknown part."""
        for part in parts:
            if part not in TRACKER_PARTS:
                raise InputError(f"unknown part {part!r} of lite's tracker; known: {', '.join(TRACKER_PARTS)}")
        return replace(self, **{part.replace("-", "_"): False for part in parts})
