"""What can go wrong, by kind; the command line turns these into one line and an exit code."""

from __future__ import annotations

__all__ = ["CheckpointError", "EmptyMaskError", "InputError", "PersamHQError", "ShapeError", "UnknownModelError"]


class PersamHQError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(PersamHQError, ValueError):
    """An image, a prompt or an option that a caller handed in cannot be used."""


class ShapeError(InputError):
    """A tensor or an array has another shape, rank or dtype than its place asks for."""


class EmptyMaskError(InputError):
    """A reference mask has no foreground pixel, so there is no target to take from it."""


class CheckpointError(PersamHQError):
    """A weights file cannot be read, is of no known layout, or does not fit the model."""


class UnknownModelError(InputError):
    """No model is registered under the name that was asked for."""
