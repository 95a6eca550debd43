"""Segmenters of one model that ask for the same thing: it is computed once, and all of them are given it.

Strategies that differ in their refiners, or in the decoder, often have the same state for many frames; all that comes
before they part is then the same too, as every method of a segmenter is a pure function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.segmenter import Choice, Decoded, Located, Memory, Segmenter
from persam_hq.types import DecoderOutput, ImageFeatures, PromptSet

__all__ = ["SharedCalls", "SharedSegmenter", "merge_equal", "same"]

_ONLY_DECODED_WITH: Final = frozenset({"model", "use_hq", "keep_interm"})
"""What a segmenter locates without."""


_PLAIN: Final = (str, int, float, bytes, frozenset, torch.dtype)
"""What can be compared with ==; of anything else it is not known, so it is not the same."""


class SharedCalls:
    """What was computed for one frame, by what was asked; any thread may ask, and waits for what another computes."""

    def __init__(self) -> None:
        self._known: list[tuple[tuple[Any, ...], Future[Any]]] = []
        self._lock = threading.Lock()

    def once(self, question: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        """The answer to a question: `compute()`, or what was computed for an equal question."""
        with self._lock:
            answer = next((answer for asked, answer in self._known if same(asked, question)), None)
            is_new = answer is None
            if answer is None:
                answer = Future()
                self._known.append((question, answer))
        if is_new:
            try:
                answer.set_result(compute())
            except BaseException as exc:  # noqa: BLE001 - whoever waits has to be told
                answer.set_exception(exc)
        return answer.result()

    def forget(self) -> None:
        """The next frame comes."""
        with self._lock:
            self._known.clear()


class SharedSegmenter:
    """See Segmenter: as `own`, whose answers are shared through `calls`."""

    def __init__(self, own: Segmenter, calls: SharedCalls) -> None:
        self.model = own.model
        self._own, self._calls = own, calls
        self._settings = vars(own)
        self._locates_with = {k: v for k, v in self._settings.items() if k not in _ONLY_DECODED_WITH}

    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        return self._own.encode(image)

    def personalize(self, features: ImageFeatures, masks: Tensor) -> Any:
        """See Segmenter; equal questions have the same reference for an answer, not only an equal one."""
        question = ("personalize", self._locates_with, features, masks)
        return self._calls.once(question, lambda: self._own.personalize(features, masks))

    def begin(self, features: ImageFeatures, masks: Tensor) -> Memory:
        """See Segmenter."""
        question = ("begin", self._locates_with, features, masks)
        memory: Memory = self._calls.once(question, lambda: self._own.begin(features, masks))
        return memory

    def locate(self, reference: Any, features: ImageFeatures, memory: Memory | None) -> Located:
        """See Segmenter."""
        question = ("locate", self._locates_with, reference, features, memory)
        located: Located = self._calls.once(question, lambda: self._own.locate(reference, features, memory))
        return located

    def decode(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool, choice: Choice) -> Decoded:
        """See Segmenter."""
        question = ("decode", self._settings, located, tuple(prompts), guided, choice)
        decoded: Decoded = self._calls.once(
            question, lambda: self._own.decode(located, prompts, guided=guided, choice=choice)
        )
        return decoded

    def outputs(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool) -> DecoderOutput:
        """See Segmenter."""
        question = ("outputs", self._settings, located, tuple(prompts), guided)
        output: DecoderOutput = self._calls.once(question, lambda: self._own.outputs(located, prompts, guided=guided))
        return output

    def show(self, located: Located, logits: Tensor, *, scores: Tensor, presence: Tensor) -> Decoded:
        """See Segmenter."""
        return self._own.show(located, logits, scores=scores, presence=presence)

    def carried(self, located: Located, memory: Memory) -> Tensor:
        """See Segmenter."""
        return self._own.carried(located, memory)

    def after_cut(self, features: ImageFeatures, memory: Memory) -> Memory:
        """See Segmenter."""
        return self._own.after_cut(features, memory)

    def recentred(self, located: Located, decoded: Decoded, memory: Memory, present: Tensor) -> Memory | None:
        """See Segmenter."""
        return self._own.recentred(located, decoded, memory, present)

    def remember(self, located: Located, decoded: Decoded, memory: Memory | None, present: Tensor) -> Memory:
        """See Segmenter."""
        return self._own.remember(located, decoded, memory, present)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the bit; dataclasses, tuples and mappings by what is in them."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, _PLAIN) and bool(one == other)


def merge_equal(values: Sequence[Any]) -> tuple[Any, ...]:
    """The same values; those that are the same to the bit become one object, which is then found out at once."""
    merged: list[Any] = []
    for value in values:
        merged.append(next((earlier for earlier in merged if same(earlier, value)), value))
    return tuple(merged)
