"""lite with a few channels and blocks and a grid of 6, wired as the real one is."""

import torch
from golden.fill_weights import tensor_for

from persam_hq.build.lite import lite_hq_modules
from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE, EfficientNetLite, Stage
from persam_hq.modeling.lite.image_encoder import LiteImageEncoder
from persam_hq.modeling.lite.location_prior import DenseLocationPrior
from persam_hq.modeling.lite.model import Lite, LiteGeometry, LiteUpscaling
from persam_hq.modeling.mask_decoder import MaskDecoder
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.transforms import NearNative
from persam_hq.types import PromptSet

STEM = 4
STAGES = (
    Stage(kernel=3, stride=1, expansion=1, channels=4, repeats=1),
    Stage(kernel=3, stride=2, expansion=2, channels=6, repeats=2),
    Stage(kernel=5, stride=2, expansion=2, channels=8, repeats=1),
    Stage(kernel=3, stride=2, expansion=2, channels=10, repeats=1),
    Stage(kernel=5, stride=2, expansion=2, channels=12, repeats=1),
)
TAPS = (2, 3, 4, 5)
EMBED, MIDDLE, FINE, LEARNED, KEY, GRID = 16, 8, 8, 6, 8, 6


@torch.no_grad()
def fill(module):
    """Weights that their keys stand for; what is a single number stays as it was built."""
    for key, value in module.state_dict().items():
        if value.ndim:
            value.copy_(tensor_for(key, tuple(value.shape)))


def tiny_trunk():
    return EfficientNetLite(stem_channels=STEM, stages=STAGES, taps=TAPS)


def tiny_lite(*, hq=True):
    """With weights that their keys stand for."""
    model = Lite(
        image_encoder=LiteImageEncoder(
            trunk=tiny_trunk(),
            trunk_channels=(6, 8, 10, 12),
            embed_dim=EMBED,
            middle_dim=MIDDLE,
            fine_dim=FINE,
            learned_dim=LEARNED,
            key_dim=KEY,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBED,
            image_embedding_size=(GRID, GRID),
            input_image_size=(GRID * EMBEDDING_STRIDE, GRID * EMBEDDING_STRIDE),
            mask_in_chans=8,
        ),
        mask_decoder=MaskDecoder(
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBED, num_heads=2, mlp_dim=24),
            transformer_dim=EMBED,
            output_upscaling=LiteUpscaling(embed_dim=EMBED, middle_dim=MIDDLE, fine_dim=FINE),
            mask_dim=FINE,
            iou_head_hidden_dim=EMBED,
            hq=lite_hq_modules(embed_dim=EMBED, middle_dim=MIDDLE, fine_dim=FINE) if hq else None,
            presence=True,
        ),
        location_prior=DenseLocationPrior(hidden_dim=8, embed_dim=EMBED, middle_dim=MIDDLE),
        geometry=LiteGeometry(grid=GRID, first_grid=GRID, global_grid=4, recent_grid=GRID),
        input_frame=NearNative(smallest=128, largest=192, multiple=32),
    )
    fill(model)
    return model.eval()


def no_prompts(k):
    """For k objects: the dense prior is all that the decoder gets."""
    return [PromptSet.from_points()] * k
