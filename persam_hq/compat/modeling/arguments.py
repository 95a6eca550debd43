"""Check of published constructors' arguments that this package has fixed to what all published models use."""

from __future__ import annotations

from persam_hq.errors import InputError

__all__ = ["refuse_others"]


def refuse_others(where: str, **arguments: tuple[object, object]) -> None:
    """Raise InputError where an argument, given with the only value that is built, has another one."""
    for name, (given, built) in arguments.items():
        if given != built:
            raise InputError(f"{where} is built with {name}={built!r} alone, as in all published models; got {given!r}")
