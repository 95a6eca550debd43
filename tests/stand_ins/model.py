"""Models small enough for unit tests, built from the same modules as the registered ones."""

from torch import nn

from persam_hq.modeling.image_encoder import ImageEncoderViT
from persam_hq.modeling.mask_decoder import MaskDecoder, SamUpscaling, sam_hq_modules
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.modeling.sam import Sam
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.transforms import LongestSide
from persam_hq.types import ImageGeometry

WIDTH = 32


class PatchConvolution(nn.Module):
    """A convolutional encoder that takes rectangles."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, kernel_size=16, stride=16)

    def forward(self, x):
        embedding = self.conv(x)
        return embedding, (embedding.permute(0, 2, 3, 1),)


def fixed_rectangle(original):
    """Every image becomes 48 by 96."""
    return ImageGeometry(original=original, input=(48, 96), padded=(48, 96))


def square_model(*, hq, side=64):
    """Segment Anything of 64 pixels a side: 4 by 4 cells, one block with windows and a global one."""
    encoder = ImageEncoderViT(
        img_size=side,
        patch_size=16,
        embed_dim=WIDTH,
        depth=2,
        num_heads=2,
        out_chans=WIDTH,
        window_size=3,
        global_attn_indexes=(1,),
    )
    return _sam(encoder, grid=(side // 16, side // 16), input_frame=LongestSide(side), hq=hq)


def rectangular_model():
    """A model whose input is no square, so that height and width cannot be mixed up unnoticed."""
    return _sam(PatchConvolution(), grid=(3, 6), input_frame=fixed_rectangle, hq=False)


def _sam(encoder, *, grid, input_frame, hq):
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=grid,
            input_image_size=(grid[0] * 16, grid[1] * 16),
            mask_in_chans=8,
        ),
        mask_decoder=MaskDecoder(
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=2, mlp_dim=64),
            transformer_dim=WIDTH,
            output_upscaling=SamUpscaling(WIDTH),
            mask_dim=WIDTH // 8,
            hq=sam_hq_modules(transformer_dim=WIDTH, vit_dim=WIDTH) if hq else None,
        ),
        input_frame=input_frame,
        pixel_mean=(123.675, 116.28, 103.53),
        pixel_std=(58.395, 57.12, 57.375),
    )
