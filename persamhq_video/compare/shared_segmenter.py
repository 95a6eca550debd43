"""Segmenters of one model that share what they compute: a call with equal arguments is computed once for all of them.

Strategies that differ in their refiners, or in the decoder, often have the same state for many frames. All results
before they diverge are then the same too, as every method of a segmenter is a pure function of its arguments.
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

from persam_hq.segmenter import AnySegmenter, Choice, Decoded, Located, Memory
from persam_hq.segmenter.base import Locate, LookT
from persam_hq.types import DecoderOutput, ImageFeatures, PromptSet

__all__ = ["CallCache", "SharedSegmenter", "bitwise_equal", "merge_equal"]

_DECODER_SETTINGS: Final = frozenset({"model", "use_hq", "keep_interm"})
"""Attributes of a segmenter that only the decoder depends on; locating gives the same whatever they are."""

_PLAIN: Final = (str, int, float, bytes, frozenset, torch.dtype)
"""Types that are compared with ==; two values of any other type count as different, which is always safe."""


class CallCache:
    """The results of one frame by the call that gave them; a thread waits for a result that another one computes."""

    def __init__(self) -> None:
        # A list, not a dict: keys hold tensors, which have no hash by value, and a frame has few calls.
        self._known: list[tuple[tuple[Any, ...], Future[Any]]] = []
        self._lock = threading.Lock()

    def get_or_compute(self, key: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        """The result for a key, the name and arguments of a call: `compute()`, or that of an equal key."""
        # Find the result, or reserve its place
        with self._lock:
            result = next((result for known, result in self._known if bitwise_equal(known, key)), None)
            is_new = result is None
            if result is None:
                result = Future()
                self._known.append((key, result))

        # Computed outside the lock, so that other calls go on meanwhile
        if is_new:
            try:
                result.set_result(compute())
            except BaseException as exc:  # noqa: BLE001 - waiting threads have to get the error too
                result.set_exception(exc)
        return result.result()

    def clear(self) -> None:
        """Forget all results, before the next frame."""
        with self._lock:
            self._known.clear()


class SharedSegmenter:
    """See Segmenter: the same as `own`, with its results shared through `calls`."""

    def __init__(self, own: AnySegmenter, calls: CallCache) -> None:
        self.model = own.model
        self._own, self._calls = own, calls
        self._settings = vars(own)
        self._locates_with = {k: v for k, v in self._settings.items() if k not in _DECODER_SETTINGS}

    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """See Segmenter."""
        return self._own.encode(image)

    def personalize(self, features: ImageFeatures, masks: Tensor) -> Any:
        """See Segmenter; equal arguments give one reference object, which later calls compare by identity."""
        key = ("personalize", self._locates_with, features, masks)
        return self._calls.get_or_compute(key, lambda: self._own.personalize(features, masks))

    def begin(self, features: ImageFeatures, masks: Tensor) -> Memory:
        """See Segmenter."""
        key = ("begin", self._locates_with, features, masks)
        memory: Memory = self._calls.get_or_compute(key, lambda: self._own.begin(features, masks))
        return memory

    def locate(self, reference: Any, features: ImageFeatures, memory: Memory | None) -> Located[Any, Any]:
        """See Segmenter."""
        key = ("locate", self._locates_with, reference, features, memory)
        located: Located[Any, Any] = self._calls.get_or_compute(
            key, lambda: self._own.locate(reference, features, memory)
        )
        return located

    def aim(
        self, reference: Any, located: Located[Any, Any], prompts: Sequence[PromptSet]
    ) -> tuple[Located[Any, Any], Sequence[PromptSet]]:
        """See Segmenter."""
        key = ("aim", self._locates_with, reference, located, tuple(prompts))
        aimed: tuple[Located[Any, Any], Sequence[PromptSet]] = self._calls.get_or_compute(
            key, lambda: self._own.aim(reference, located, prompts)
        )
        return aimed

    def decode(
        self, located: Located[Any, Any], prompts: Sequence[PromptSet], *, guided: bool, choice: Choice
    ) -> Decoded:
        """See Segmenter."""
        key = ("decode", self._settings, located, tuple(prompts), guided, choice)
        decoded: Decoded = self._calls.get_or_compute(
            key, lambda: self._own.decode(located, prompts, guided=guided, choice=choice)
        )
        return decoded

    def outputs(self, located: Located[Any, Any], prompts: Sequence[PromptSet], *, guided: bool) -> DecoderOutput:
        """See Segmenter."""
        key = ("outputs", self._settings, located, tuple(prompts), guided)
        output: DecoderOutput = self._calls.get_or_compute(
            key, lambda: self._own.outputs(located, prompts, guided=guided)
        )
        return output

    def show(self, located: Located[Any, Any], logits: Tensor, *, scores: Tensor, presence: Tensor) -> Decoded:
        """See Segmenter."""
        return self._own.show(located, logits, scores=scores, presence=presence)

    def look(
        self,
        reference: Any,
        features: ImageFeatures,
        memory: Memory | None,
        judge: Callable[[Located[Any, Any]], LookT],
        *,
        locate: Locate[Any, Any, Any] | None = None,
    ) -> LookT:
        """See Segmenter; what is located on the way is shared."""
        return self._own.look(reference, features, memory, judge, locate=locate or self.locate)

    def remembered_logits(self, located: Located[Any, Any]) -> Tensor:
        """See Segmenter."""
        return self._own.remembered_logits(located)

    def remember(self, located: Located[Any, Any], decoded: Decoded, present: Tensor) -> Memory:
        """See Segmenter."""
        memory: Memory = self._own.remember(located, decoded, present)
        return memory


def bitwise_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same to the bit; dataclasses, tuples and mappings by their content."""
    # Identity first: most values are the very same object, and comparing tensors costs time.
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
    if is_dataclass(one):
        return all(bitwise_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(bitwise_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(bitwise_equal, one, other))
    return isinstance(one, _PLAIN) and bool(one == other)


def merge_equal(values: Sequence[Any]) -> tuple[Any, ...]:
    """The values with those that are the same to the bit replaced by one object, which later compares at once."""
    merged: list[Any] = []
    for value in values:
        merged.append(next((earlier for earlier in merged if bitwise_equal(earlier, value)), value))
    return tuple(merged)
