"""Networks as torch modules: image encoders, prompt encoder, mask decoder; `lite` has the small model's own.

Nothing here reads files or chooses a device. Names in state dicts are those of the published checkpoints.
"""
