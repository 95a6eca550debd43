"""Sizes of `lite`, and its weights from a file; the other sizes stand in `persam_hq.build.sam`, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from torch import Tensor, nn

from persam_hq.checkpoint import read_tensors, write_safetensors
from persam_hq.checkpoint.soundness import misfits, refuse_bad_values
from persam_hq.errors import MisfitError
from persam_hq.modeling.common import FusedLayerNorm2d
from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE, EfficientNetLite, Stage
from persam_hq.modeling.lite.image_encoder import LiteImageEncoder
from persam_hq.modeling.lite.location_prior import DenseLocationPrior
from persam_hq.modeling.lite.model import Lite, LiteGeometry, LiteUpscaling
from persam_hq.modeling.mask_decoder import HQModules, MaskDecoder
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.transforms import NearNative

__all__ = ["FITTED_KEYS", "Detail", "build_lite", "lite_hq_modules", "load_lite", "save_lite", "training_geometry"]

# EfficientNet-Lite0: the stages of EfficientNet-B0 without squeeze-and-excitation, as its published weights have them.
LITE0_STAGES = (
    Stage(kernel=3, stride=1, expansion=1, channels=16, repeats=1),
    Stage(kernel=3, stride=2, expansion=6, channels=24, repeats=2),
    Stage(kernel=5, stride=2, expansion=6, channels=40, repeats=2),
    Stage(kernel=3, stride=2, expansion=6, channels=80, repeats=3),
    Stage(kernel=5, stride=1, expansion=6, channels=112, repeats=3),
    Stage(kernel=5, stride=2, expansion=6, channels=192, repeats=4),
    Stage(kernel=3, stride=1, expansion=6, channels=320, repeats=1),
)

FITTED_KEYS = ("image_encoder.key_projection.", "location_prior.log_temperature_prompt")
"""Prefixes of the weights that `persam-hq checkpoints fit-keys` adds to those of older releases."""

Detail = Literal["normal", "fine"]
"""Resolution that frames are encoded at and objects are decoded at. The same weights serve both."""

# Grids in cells a side: of a window (the mask has four times as many), and of what is remembered of the first frame
# around the object, of all of it, and of the last frame. Then the longer side that frames are resized to, in pixels;
# 32 is the trunk's coarsest stride.
_DETAILS: Final[dict[Detail, tuple[LiteGeometry, NearNative]]] = {
    "normal": (
        LiteGeometry(grid=28, first_grid=48, global_grid=16, recent_grid=24),
        NearNative(smallest=640, largest=704, multiple=32),
    ),
    "fine": (
        LiteGeometry(grid=48, first_grid=64, global_grid=16, recent_grid=24),
        NearNative(smallest=640, largest=1280, multiple=32),
    ),
}


def training_geometry(grid: int) -> LiteGeometry:
    """The grids of a training step whose windows have `grid` cells a side; the memories are coarser than in use.

    Matching is most of what a step costs, and learns the same from fewer cells.
    """
    return LiteGeometry(grid=grid, first_grid=32, global_grid=16, recent_grid=24)


def build_lite(*, hq: bool = True, detail: Detail = "normal", geometry: LiteGeometry | None = None) -> Lite:
    """EfficientNet-Lite0, a neck of 128/64/32 channels, and SAM-HQ's decoder at width 128.

    `detail` sets the size that frames are encoded at and, without a `geometry`, the grids that objects are seen and
    remembered on.
    """
    # Channels at strides 16, 8 and 4, and of the keys that matching compares: the learnt part and all of it
    embed_dim, middle_dim, fine_dim, learned_dim, key_dim = 128, 64, 32, 64, 128
    usual, input_frame = _DETAILS[detail]
    geometry = geometry or usual
    # The prompt encoder works in a window of its natural size; windows of other sizes are resampled to it
    grid, nominal = geometry.grid, geometry.grid * EMBEDDING_STRIDE
    return Lite(
        image_encoder=LiteImageEncoder(
            trunk=EfficientNetLite(stem_channels=32, stages=LITE0_STAGES, taps=(2, 4, 10, 15)),
            trunk_channels=(24, 40, 112, 320),
            embed_dim=embed_dim,
            middle_dim=middle_dim,
            fine_dim=fine_dim,
            learned_dim=learned_dim,
            key_dim=key_dim,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=embed_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(nominal, nominal),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer=TwoWayTransformer(depth=2, embedding_dim=embed_dim, num_heads=8, mlp_dim=512),
            transformer_dim=embed_dim,
            output_upscaling=LiteUpscaling(embed_dim=embed_dim, middle_dim=middle_dim, fine_dim=fine_dim),
            mask_dim=fine_dim,
            iou_head_hidden_dim=embed_dim,
            hq=lite_hq_modules(embed_dim=embed_dim, middle_dim=middle_dim, fine_dim=fine_dim) if hq else None,
            presence=True,
        ),
        location_prior=DenseLocationPrior(hidden_dim=48, embed_dim=embed_dim, middle_dim=middle_dim),
        geometry=geometry,
        input_frame=input_frame,
    )


def lite_hq_modules(*, embed_dim: int, middle_dim: int, fine_dim: int) -> HQModules:
    """The HQ branch of lite: its interm embedding has the grid of the HQ features, so it needs no upscaling."""
    return HQModules(
        compress_vit_feat=nn.Sequential(
            nn.Conv2d(fine_dim, fine_dim, kernel_size=3, padding=1),
            FusedLayerNorm2d(fine_dim),
            nn.GELU(),
            nn.Conv2d(fine_dim, fine_dim, kernel_size=3, padding=1),
        ),
        embedding_encoder=nn.Sequential(
            nn.ConvTranspose2d(embed_dim, middle_dim, kernel_size=2, stride=2),
            FusedLayerNorm2d(middle_dim),
            nn.GELU(),
            nn.ConvTranspose2d(middle_dim, fine_dim, kernel_size=2, stride=2),
        ),
        embedding_maskfeature=nn.Sequential(
            nn.Conv2d(fine_dim, middle_dim, kernel_size=3, padding=1),
            FusedLayerNorm2d(middle_dim),
            nn.GELU(),
            nn.Conv2d(middle_dim, fine_dim, kernel_size=3, padding=1),
        ),
    )


def load_lite(model: nn.Module, path: Path, *, but: tuple[str, ...] = ()) -> None:
    """Load lite's weights, float16 or not, strictly; CheckpointError names what is missing or extra.

    What begins with one of `but` may be missing, and stays as it is. Values are copied, since the model's kernels lie
    in memory as convolutions like them. A training's state file is taken as well, with its averaged weights, if all of
    lite learned in it.
    """
    # What does not fit is named before anything is loaded
    state, _ = read_tensors(path)
    expected = model.state_dict()
    missing = sorted(name for name in expected.keys() - state.keys() if not name.startswith(but))
    extra = sorted(state.keys() - expected.keys())
    if missing or extra:
        message = f"{path} does not hold lite's weights: missing {missing[:3]}, not expected {extra[:3]}"
        # Weights of older releases lack the fitted keys alone, which can be helped
        if not extra and all(name.startswith(FITTED_KEYS) for name in missing):
            message = f"{path} is older than lite's fitted keys; `persam-hq checkpoints fit-keys` adds them"
        raise MisfitError(message)
    # The same names with other shapes or numbers are of another model
    if found := misfits(state, {name: expected[name] for name in state}):
        raise MisfitError(f"{path} does not hold lite's weights: {'; '.join(found)}")
    refuse_bad_values(state, path)
    model.load_state_dict({name: value.float() for name, value in state.items()}, strict=not but)


def save_lite(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Write all of lite's `weights`, float16, as `load_lite` reads them: whole or not at all."""
    half = {name: value.half().cpu().contiguous() for name, value in weights.items()}
    write_safetensors(half, path, metadata={"model": "lite", "step": str(step), "format": "persam_hq.lite"})


def embedded_weights() -> Path:
    """The checkpoint of `lite` inside the package."""
    return Path(str(resources.files("persam_hq") / "weights" / "lite.safetensors"))
