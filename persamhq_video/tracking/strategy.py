"""A strategy of a run under its name, and the slots that it keeps.

Whatever goes wrong in a strategy, or is wrong with what it returns, becomes a StrategyError with that name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
import torch

from persam_hq.errors import one_line
from persamhq_video.errors import StrategyError
from persamhq_video.foreign import contained
from persamhq_video.protocols.strategy import FirstFrame, Fits, Remembers, Seen, Slot

__all__ = ["SLOT_BYTES", "Slots", "Strategy", "check_nesting", "slot_bytes"]

StrategyT = TypeVar("StrategyT")
ValueT = TypeVar("ValueT")

SLOT_BYTES: Final = 64 * 1024
"""The most bytes that a strategy may keep of one object: a quarter of the state's room per object."""

_SLOT_DEPTH: Final = 50
"""Containers inside each other; pickle, which sends slots, gives up at some hundreds."""

Slots = tuple[tuple[Slot, ...], ...]
"""The slots of all strategies, the selector's first: per strategy one slot per object, or nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Strategy(Generic[StrategyT]):
    """A prompt selector or a mask refiner of a run, with its name and the plugin it is from."""

    kind: str
    name: str
    plugin: str
    call: StrategyT

    @property
    def needs_history(self) -> bool:
        """Whether it cannot do without the results of earlier frames."""
        said = getattr(self.call, "needs_history", None)
        return isinstance(self.call, Remembers) if said is None else bool(said)

    @property
    def declines_history(self) -> bool:
        """Whether it declares that it has no use for the results of earlier frames."""
        return getattr(self.call, "needs_history", None) is False

    @property
    def remembers(self) -> bool:
        """Whether it keeps something from frame to frame."""
        return isinstance(self.call, Remembers) and not self.declines_history

    def needs(self, what: str) -> bool:
        """Whether it declares `needs_<what> = True`."""
        return bool(getattr(self.call, f"needs_{what}", False))

    @contextmanager
    def at(self, frame: int, object_id: int | None = None) -> Iterator[None]:
        """Whatever it raises here becomes a StrategyError that says which strategy, where, and what."""

        def failed(reason: str, error: BaseException) -> StrategyError:
            del error
            return self.failed(frame, object_id, reason)

        with contained(f"the {self.kind} {self.name!r} (plugin {self.plugin})", failed):
            yield

    def failed(self, frame: int, object_id: int | None, what: str) -> StrategyError:
        """The error of a call that went wrong on a frame."""
        place = f"frame {frame}" if object_id is None else f"frame {frame}, object {object_id}"
        reason = one_line(what)
        return StrategyError(f"the {self.kind} {self.name!r} (plugin {self.plugin}) failed at {place}: {reason}")

    def expect(self, value: object, expected: type[ValueT], frame: int, object_id: int | None = None) -> ValueT:
        """The returned value, if it is of the type that strategies of this kind return; else a StrategyError."""
        if not isinstance(value, expected):
            got, wanted = type(value).__name__, expected.__name__
            raise self.failed(frame, object_id, f"it returned a {got}, expected a {wanted}")
        return value

    def fit(self, first: FirstFrame, object_ids: Sequence[int]) -> tuple[Slot, ...]:
        """The slots learned from the annotated frame, one per object; all None where it learns nothing."""
        if not isinstance(self.call, Fits):
            return (None,) * len(object_ids)
        index = first.frame.index
        with self.at(index):
            slots = tuple(self.call.fit(first))
        if len(slots) != len(object_ids):
            raise self.failed(index, None, f"fit returned {len(slots)} slots for {len(object_ids)} objects")
        for slot, object_id in zip(slots, object_ids, strict=True):
            self._check_slot(slot, index, object_id)
        return slots

    def remember(self, slot: Slot, seen: Seen) -> Slot:
        """The slot of an object after a frame."""
        assert isinstance(self.call, Remembers)
        index, object_id = seen.frame.index, seen.object_id
        with self.at(index, object_id):
            kept = self.call.remember(slot, seen)
        self._check_slot(kept, index, object_id)
        return kept

    def _check_slot(self, slot: Slot, frame: int, object_id: int) -> None:
        try:
            check_nesting(slot)
            size = slot_bytes(slot)
        except TypeError as exc:
            raise self.failed(frame, object_id, f"its slot {exc}") from exc
        if size > SLOT_BYTES:
            raise self.failed(frame, object_id, f"its slot holds {size} bytes, at most {SLOT_BYTES} travel")


def check_nesting(slot: Slot) -> None:
    """TypeError for a slot that holds itself, is nested too deep, or has too many values to be counted and sent."""
    left = SLOT_BYTES  # values: each takes a byte at least, but for empty ones, of which there would be no end

    def visit(value: object, around: tuple[int, ...]) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TypeError(f"holds more than {SLOT_BYTES} values")
        if not isinstance(value, tuple | list | dict):
            return
        if id(value) in around:
            raise TypeError("holds itself; expected values that end")
        if len(around) == _SLOT_DEPTH:
            raise TypeError(f"is nested more than {_SLOT_DEPTH} deep")
        members = itertools.chain.from_iterable(value.items()) if isinstance(value, dict) else value
        for member in members:
            visit(member, (*around, id(value)))

    visit(slot, ())


def slot_bytes(slot: Slot) -> int:
    """Bytes that a slot holds; TypeError for what does not travel."""
    # Plain values: counted as a machine word, however Python stores them
    if slot is None or type(slot) in {bool, int, float}:
        return 8
    if type(slot) in {str, bytes}:
        return len(slot)
    if isinstance(slot, torch.Tensor | np.ndarray | np.generic):
        return _array_bytes(slot)
    # Containers: their members alone
    if type(slot) in {tuple, list}:
        return sum(map(slot_bytes, slot))
    if type(slot) is dict:
        return sum(slot_bytes(key) + slot_bytes(value) for key, value in slot.items())
    raise TypeError(f"holds a {type(slot).__name__}; expected numbers, text, arrays, tensors, tuples, lists and dicts")


def _array_bytes(array: Any) -> int:
    if isinstance(array, np.ndarray) and array.dtype.hasobject:
        raise TypeError("holds an array of Python objects; expected an array of numbers")
    if isinstance(array, torch.Tensor) and array.device.type != "cpu":
        raise TypeError(f"holds a tensor on {array.device}; expected it on the CPU")
    return int(array.nbytes)
