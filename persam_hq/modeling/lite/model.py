"""lite: a small model with SAM-HQ's decoder, a rectangular input, and a decoder window around each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from persam_hq.modeling.common import FusedLayerNorm2d
from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE, FINE_STRIDE, KEY_STRIDE
from persam_hq.modeling.lite.image_encoder import IntermLevel, LiteImageEncoder, interm_map
from persam_hq.modeling.lite.location_prior import DenseLocationPrior, PriorSources
from persam_hq.modeling.lite.matching import MatchMemory
from persam_hq.modeling.lite.window import cell_positions, move_window, resample_window
from persam_hq.modeling.mask_decoder import MaskDecoder, token_product
from persam_hq.modeling.prompt_encoder import PromptBatch, PromptEncoder
from persam_hq.transforms import InputFrame, RgbImage, image_tensor, resize_image
from persam_hq.types import DecoderOutput, Guidance, ImageGeometry


class LiteUpscaling(nn.Module):
    """From the image embedding to mask features at four times the grid, with skips at twice and four times."""

    def __init__(self, *, embed_dim: int, middle_dim: int, fine_dim: int) -> None:
        super().__init__()
        self.up8 = nn.ConvTranspose2d(embed_dim, middle_dim, kernel_size=2, stride=2)
        self.norm8 = FusedLayerNorm2d(middle_dim)
        self.mix8 = nn.Conv2d(middle_dim, middle_dim, 3, padding=1)
        self.up4 = nn.ConvTranspose2d(middle_dim, fine_dim, kernel_size=2, stride=2)
        self.skip4 = nn.Conv2d(fine_dim, fine_dim, 1)
        self.norm4 = FusedLayerNorm2d(fine_dim)
        self.mix4 = nn.Conv2d(fine_dim, fine_dim, 3, padding=1)

    def upscale(self, x: Tensor, skips: Sequence[Tensor] | None) -> Tensor:
        """(B, C, g, g) and skips (B, C', 2g, 2g), (B, C'', 4g, 4g) to (B, C'', 4g, 4g)."""
        assert skips is not None
        # Each level adds its skip, then a residual that mixes neighbours
        middle, fine = skips
        x = F.gelu(self.norm8(self.up8(x) + middle))
        x = x + F.gelu(self.mix8(x))
        x = F.gelu(self.norm4(self.up4(x) + self.skip4(fine)))
        out: Tensor = x + F.gelu(self.mix4(x))
        return out


@dataclass(frozen=True, slots=True, eq=False)
class WindowedHQ:
    """HQ features (1 or B, C'', h, w) at stride 4, seen through windows (B, 4) on `grid` cells a side; an HQView.

    Resampling is linear, so a token meets the features first: one map per object is resampled instead of C''.
    """

    features: Tensor
    windows: Tensor
    grid: int

    def __repr__(self) -> str:
        return f"WindowedHQ(features={tuple(self.features.shape)}, windows={len(self.windows)}, grid={self.grid})"

    def product(self, weights: Tensor) -> Tensor:
        """See HQView: (B, C'') to (B, 1, grid, grid)."""
        maps = token_product(weights, self.features.to(weights.dtype))
        return resample_window(maps, self.windows, grid=self.grid, stride=FINE_STRIDE)

    def rows(self, chosen: list[int]) -> WindowedHQ:
        """The windows `chosen` alone."""
        features = self.features if len(self.features) == 1 else self.features[chosen]
        return WindowedHQ(features=features, windows=self.windows[chosen], grid=self.grid)


@dataclass(frozen=True, slots=True, eq=False)
class WindowFeatures:
    """An image seen through B windows, with g the grid of the embedding.

    windows: (B, 4) pixels of the encoder's input; embedding: (B, C, g, g); middle: (B, C', 2g, 2g); fine:
    (B, C'', 4g, 4g); keys: (B, K, 2g, 2g), unit length over K; all in the dtype of `windows`. hq: the HQ features, None
    without HQ modules.
    """

    windows: Tensor
    embedding: Tensor
    middle: Tensor
    fine: Tensor
    keys: Tensor
    hq: WindowedHQ | None

    def __repr__(self) -> str:
        return f"WindowFeatures(embedding={tuple(self.embedding.shape)})"

    def rows(self, index: Sequence[int]) -> WindowFeatures:
        """The windows at `index` alone, in that order."""
        chosen = list(index)
        return WindowFeatures(
            windows=self.windows[chosen],
            embedding=self.embedding[chosen],
            middle=self.middle[chosen],
            fine=self.fine[chosen],
            keys=self.keys[chosen],
            hq=None if self.hq is None else self.hq.rows(chosen),
        )


@dataclass(frozen=True, slots=True)
class LiteGeometry:
    """Cells a side of everything that is seen or remembered through a window.

    grid: the decoder's image embedding; first_grid and global_grid: the memory of the first frame, around the object
    and over all of it; recent_grid: the memories of later frames.
    """

    grid: int
    first_grid: int
    global_grid: int
    recent_grid: int

    @property
    def prior_grid(self) -> int:
        """Of the matching keys, and so of the dense prior: stride 8 where the embedding has 16."""
        return 2 * self.grid

    @property
    def mask_grid(self) -> int:
        """Of SAM's masks and of mask prompts: stride 4."""
        return 4 * self.grid

    @property
    def hq_grid(self) -> int:
        """Of the HQ masks, finer than the HQ features: there the image is seen nearly as finely as it was encoded."""
        return 8 * self.grid


class Lite(nn.Module):
    """The parts, wired: encode a frame once, look at it through windows, decode all objects in one batch."""

    def __init__(
        self,
        *,
        image_encoder: LiteImageEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        location_prior: DenseLocationPrior,
        geometry: LiteGeometry,
        input_frame: InputFrame,
    ) -> None:
        super().__init__()
        self.input_frame = input_frame
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.location_prior = location_prior
        self.geometry = geometry

    def on_grids(self, geometry: LiteGeometry) -> Lite:
        """The same model, its weights shared, that sees and remembers objects on other grids."""
        grid, nominal = geometry.grid, geometry.grid * EMBEDDING_STRIDE
        return Lite(
            image_encoder=self.image_encoder,
            prompt_encoder=self.prompt_encoder.resized(
                image_embedding_size=(grid, grid), input_image_size=(nominal, nominal)
            ),
            mask_decoder=self.mask_decoder,
            location_prior=self.location_prior,
            geometry=geometry,
            input_frame=self.input_frame,
        ).train(self.training)

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """RGB in [0, 255] to what the trunk was trained on: (x - 127) / 128."""
        return (image - 127) / 128

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.prompt_encoder.no_mask_embed.weight.device

    def prepare(self, image: RgbImage) -> tuple[Tensor, ImageGeometry]:
        """(H, W, 3) uint8 RGB to the encoder's input (1, 3, H', W') float on the model's device, and its geometry."""
        # Resized near its own size, and padded below and to the right
        height, width, _ = image.shape
        geometry = self.input_frame((height, width))
        pixels = self.normalise(image_tensor(resize_image(image, geometry.input)).to(self.device).float())
        height, width = geometry.input
        pixels = F.pad(pixels, (0, geometry.padded[1] - width, 0, geometry.padded[0] - height))
        return pixels.contiguous(memory_format=torch.channels_last), geometry

    def encode(self, pixels: Tensor, *, with_hq: bool = True) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
        """Normalised pixels (B, 3, H, W) to embedding and interm embeddings (see LiteImageEncoder), and HQ features.

        The HQ features (B, C'', H/4, W/4) depend on the image alone; None without HQ modules or not `with_hq`.
        """
        embedding, interm = self.image_encoder(pixels)
        if not (with_hq and self.mask_decoder.has_hq):
            return embedding, interm, None
        hq = self.mask_decoder.fuse_hq_features(image_embeddings=embedding, interm_embeddings=interm)
        return embedding, interm, hq

    def through_windows(
        self, embedding: Tensor, interm: tuple[Tensor, ...], windows: Tensor, *, hq: Tensor | None = None
    ) -> WindowFeatures:
        """The encoder's output (1 or B images), and its HQ features, seen through `windows` (B, 4)."""
        fine, middle, keys = (interm_map(interm, level) for level in IntermLevel)
        sizes = self.geometry
        # Averages of unit vectors are shorter, so the keys are brought back to unit length
        window_keys = resample_window(keys, windows, grid=sizes.prior_grid, stride=KEY_STRIDE)
        return WindowFeatures(
            windows=windows,
            embedding=resample_window(embedding, windows, grid=sizes.grid, stride=EMBEDDING_STRIDE),
            middle=resample_window(middle, windows, grid=sizes.prior_grid, stride=KEY_STRIDE),
            fine=resample_window(fine, windows, grid=sizes.mask_grid, stride=FINE_STRIDE),
            keys=F.normalize(window_keys, dim=1),
            hq=None if hq is None else WindowedHQ(features=hq, windows=windows, grid=sizes.hq_grid),
        )

    def window_memory(self, keys: Tensor, masks: Tensor, windows: Tensor, *, grid: int) -> MatchMemory:
        """The matching memory of keys (1 or B, K, h, w) and masks (B, 1, H, W), both over the encoder's input.

        It holds what `windows` (B, 4) show of them, on a grid of so many cells a side.
        `masks` may have any stride: it is told from the sizes.
        """
        stride = KEY_STRIDE * keys.shape[-1] / masks.shape[-1]
        seen = resample_window(masks, windows, grid=grid, stride=stride)
        return self.match_memory(
            resample_window(keys, windows, grid=grid, stride=KEY_STRIDE), seen.clamp(0, 1), windows
        )

    def match_memory(self, keys: Tensor, masks: Tensor, windows: Tensor) -> MatchMemory:
        """The matching memory of keys (B, K, g, g) and masks (B, 1, g, g) as seen through `windows` (B, 4)."""
        grid = keys.shape[-1]
        return MatchMemory(
            keys=F.normalize(keys, dim=1).flatten(2).transpose(1, 2),
            mask=masks.flatten(1),
            positions=cell_positions(windows, grid=grid),
        )

    def previous_sources(
        self, keys: Tensor, logits: Tensor, *, source: Tensor, destination: Tensor
    ) -> tuple[MatchMemory, Tensor]:
        """The last result as sources of the prior: its matching memory, and its mask as it lies in the windows of now.

        `keys` (B, K, g', g') and `logits` (B, 1, 4g, 4g) were seen through `source` (B, 4); the mask comes through
        `destination` (B, 4) as probabilities (B, 1, 4g, 4g), 0 where `source` did not reach.
        """
        # The mask moves with the windows; the keys stay where they were seen, as matching compares positions
        probability = torch.sigmoid(logits)
        moved, covered = move_window(probability, source=source, destination=destination, grid=self.geometry.mask_grid)
        small = F.interpolate(probability, size=keys.shape[-2:], mode="area")
        return self.match_memory(keys, small, source), moved * covered

    def prior(self, seen: WindowFeatures, sources: PriorSources) -> Tensor:
        """The dense location prior (B, 12, 2g, 2g) of what is seen."""
        side = (seen.windows[:, 2:] - seen.windows[:, :2]).amax(dim=1)
        positions = cell_positions(seen.windows, grid=self.geometry.prior_grid)
        return self.location_prior.channels(seen.keys, positions, side, sources)

    def prompt_prior(self, seen: WindowFeatures, shapes: Tensor) -> Tensor:
        """The dense prior (B, 12, 2g, 2g) where a prompt, or an earlier pass, is all that is known.

        `shapes` (B, 1, 4g, 4g) in [0, 1], such as from `box_shapes`, stand for the last frame's mask, and this very
        image for the last frame.
        """
        # On the grid of a tracker's memory, as if this image had been tracked
        grid = self.geometry.recent_grid
        keys, mask = (F.adaptive_avg_pool2d(t, grid) for t in (seen.keys, shapes))
        memory = self.match_memory(keys, mask, seen.windows)
        return self.prior(seen, PriorSources(previous=memory, previous_mask=shapes, prompted=True))

    def decode(
        self,
        seen: WindowFeatures,
        *,
        prior: Tensor,
        prompts: PromptBatch | None = None,
        guidance: Guidance | None = None,
    ) -> DecoderOutput:
        """Everything that the mask decoder makes of all objects, in one batch.

        `prior` (B, 12, 2g, 2g); points and boxes of `prompts` in pixels of the encoder's input, masks
        (B, 1, 4g, 4g) in the window; `guidance` over the window's grid: attn_sim (B, 1, 1, g*g). Masks come on a grid
        of 4g, HQ masks on one of 8g: there the image is seen nearly as finely as it was encoded.
        """
        # Prompts become tokens and a map; the prior is added to the map and to the stride-8 skip
        guidance = guidance or Guidance()
        sparse, dense = self._embed_prompts(seen, prompts or PromptBatch())
        to_embedding, to_middle = self.location_prior(prior)

        # One pass for all objects
        output: DecoderOutput = self.mask_decoder(
            image_embeddings=seen.embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense + to_embedding,
            hq_features=seen.hq,
            skips=(seen.middle + to_middle, seen.fine),
            attn_sim=guidance.attn_sim,
            target_embedding=guidance.target_embedding,
        )
        return output

    def _embed_prompts(self, seen: WindowFeatures, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
        """Sparse (B, N, C) and dense (B, C, g, g) embeddings; positions count from the window's corner."""
        # Pixels of the encoder's input to those of the prompt encoder's nominal image, which is the window
        b, _ = seen.windows.shape
        height, width = self.prompt_encoder.input_image_size
        origin, extent = seen.windows[:, :2], seen.windows[:, 2:] - seen.windows[:, :2]
        scale = torch.tensor([width, height], device=origin.device, dtype=origin.dtype) / extent
        points, boxes = prompts.points, prompts.boxes
        if points is not None:
            points = ((points[0] - origin[:, None]) * scale[:, None], points[1])
        if boxes is not None:
            boxes = (boxes - origin.repeat(1, 2)) * scale.repeat(1, 2)
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=prompts.masks)
        return sparse.expand(b, -1, -1), dense.expand(b, -1, -1, -1)


def guided_similarity(embedding: Tensor, targets: Tensor) -> Tensor:
    """Target-guided attention (B, 1, 1, g*g) of windows (B, C, g, g) for targets (B, C)."""
    cells = F.normalize(embedding, dim=1).flatten(2)
    return normalise_similarity((F.normalize(targets, dim=1)[:, None] @ cells)[:, 0])


def normalise_similarity(similarity: Tensor) -> Tensor:
    """Cosine similarity (B, n) to target-guided attention's (B, 1, 1, n): standardised over each map, then a sigmoid.

    PerSAM, section 3.2 and its published script.
    """
    # The smallest divisor is for a map of one value alone, which then attends everywhere alike
    mean = similarity.mean(dim=1, keepdim=True)
    std = similarity.std(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.sigmoid((similarity - mean) / std)[:, None, None]
