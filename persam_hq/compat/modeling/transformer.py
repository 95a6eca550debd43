"""The two-way transformer with the published constructor."""

from __future__ import annotations

from torch import nn

from persam_hq.compat.modeling.arguments import refuse_others
from persam_hq.modeling import transformer

__all__ = ["TwoWayTransformer"]


class TwoWayTransformer(transformer.TwoWayTransformer):
    """See `persam_hq.modeling.transformer`."""

    def __init__(  # noqa: PLR0917 - the published signature
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = 2,
    ) -> None:
        refuse_others("the two-way transformer", activation=(activation, nn.ReLU))
        super().__init__(
            depth=depth,
            embedding_dim=embedding_dim,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            attention_downsample_rate=attention_downsample_rate,
        )
