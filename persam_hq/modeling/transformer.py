"""Two-way transformer of SAM's mask decoder, with PerSAM's two guides: attn_sim and target_embedding.

Tokens (output tokens and prompts) and image cells update each other; the mask decoder reads both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from persam_hq.modeling.common import MLPBlock


class Attention(nn.Module):
    """Multi-head attention whose inner width is `embedding_dim / downsample_rate` (SAM, appendix A)."""

    def __init__(self, *, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner_dim = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inner_dim)
        self.k_proj = nn.Linear(embedding_dim, inner_dim)
        self.v_proj = nn.Linear(embedding_dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, embedding_dim)

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        b, n, c = x.shape
        return x.reshape(b, n, self.num_heads, c // self.num_heads).transpose(1, 2)

    def forward(self, *, q: Tensor, k: Tensor, v: Tensor, attn_sim: Tensor | None = None) -> Tensor:
        """Attend from q (B, N, C) to k, v (B, M, C).

        `attn_sim`, broadcastable to (B, heads, N, M), is added to the attention weights, which are then normalised
        once more: softmax(softmax(qk) + attn_sim) (PerSAM, target-guided attention, equation 7).
        """
        q, k, v = (self._split_heads(t) for t in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        b, heads, n, c = q.shape

        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(c), dim=-1)
        # A softmax of a softmax is no mistake here: PerSAM adds the similarity to the weights, not to their logits. As
        # both terms lie in [0, 1] it flattens the attention. No fused kernel computes it.
        if attn_sim is not None:
            weights = torch.softmax(weights + attn_sim, dim=-1)

        out: Tensor = self.out_proj((weights @ v).transpose(1, 2).reshape(b, n, heads * c))
        return out


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of the tokens, tokens to image, an MLP on the tokens, image to tokens (SAM, appendix A)."""

    def __init__(
        self,
        *,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        attention_downsample_rate: int,
        skip_first_layer_pe: bool,
    ) -> None:
        super().__init__()

        def cross_attention() -> Attention:
            return Attention(
                embedding_dim=embedding_dim, num_heads=num_heads, downsample_rate=attention_downsample_rate
            )

        self.self_attn = Attention(embedding_dim=embedding_dim, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = cross_attention()
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLPBlock(embedding_dim=embedding_dim, mlp_dim=mlp_dim, act=nn.ReLU())
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = cross_attention()
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(
        self, *, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor, attn_sim: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, C) and image cells (B, M, C), each with its positional term; both come back updated."""
        # Tokens among themselves. In the first block the positional term is the tokens themselves, so it is left out,
        # and there is no residual connection
        if self.skip_first_layer_pe:
            queries = self.self_attn(q=queries, k=queries, v=queries)
        else:
            q = queries + query_pe
            queries = queries + self.self_attn(q=q, k=q, v=queries)
        queries = self.norm1(queries)

        # Tokens attend to the image: the one place where target-guided attention acts
        attended = self.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys, attn_sim=attn_sim)
        queries = self.norm2(queries + attended)

        # Each token by itself, then the image attends to the tokens
        queries = self.norm3(queries + self.mlp(queries))
        attended = self.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        return queries, self.norm4(keys + attended)


class TwoWayTransformer(nn.Module):
    """Tokens and image embedding exchange information `depth` times, then the tokens read the image once more."""

    def __init__(
        self, *, depth: int, embedding_dim: int, num_heads: int, mlp_dim: int, attention_downsample_rate: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim=embedding_dim,
                num_heads=num_heads,
                mlp_dim=mlp_dim,
                attention_downsample_rate=attention_downsample_rate,
                skip_first_layer_pe=index == 0,
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(
            embedding_dim=embedding_dim, num_heads=num_heads, downsample_rate=attention_downsample_rate
        )
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(
        self,
        *,
        image_embedding: Tensor,
        image_pe: Tensor,
        point_embedding: Tensor,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens and image after the exchange.

        `image_embedding` and `image_pe` are (B, C, h, w), `point_embedding` (B, N, C). `attn_sim`, broadcastable to
        (B, heads, N, h*w), steers the blocks' token-to-image attention; `target_embedding`, broadcastable to
        (B, N, C), is added to the tokens before every block and before they read the image last (PerSAM,
        target-semantic prompting, equation 8).
        Returns tokens (B, N, C) and image (B, h*w, C).
        """
        # Cells as a sequence; the prompts' embedding is both their content and their position
        keys = image_embedding.flatten(2).transpose(1, 2)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = query_pe = point_embedding

        # Blocks, each after the target embedding was added to the tokens
        for index, layer in enumerate(self.layers):
            if target_embedding is not None:
                queries = queries + target_embedding
                if index == 0:
                    # The original adds in place, where the positional term is still the same tensor as the tokens:
                    # it carries this first addition for good, and published numbers depend on it.
                    query_pe = queries
            queries, keys = layer(queries=queries, keys=keys, query_pe=query_pe, key_pe=key_pe, attn_sim=attn_sim)

        # The tokens read the image once more. attn_sim plays no part here, the target embedding does
        q = queries + query_pe
        if target_embedding is not None:
            q = q + target_embedding
        attended = self.final_attn_token_to_image(q=q, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + attended), keys
