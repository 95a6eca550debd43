"""The modules of lite, the embedded model."""
