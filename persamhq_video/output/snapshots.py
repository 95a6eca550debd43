"""The state of a tracker on the disk: checked when read, and never able to run anything."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persamhq_video.errors import OutputError
from persamhq_video.io import atomic_write

__all__ = ["Snapshots", "pack_state", "unpack_state"]

_KEPT: Final = 2
_NAME: Final = re.compile(r"state-(\d+)\.pt")
_Packed = list[Any]
"""A kind and a value: plain, bytes, array or scalar; tuple, list or dict with items; object with its type's name and
fields."""


class Snapshots:
    """States after given frames, the two newest ones, each whole or not there.

    A folder may be shared, so what lies in it is not trusted: torch reads tensors, numbers and text and nothing else,
    and an object is only ever made of one of `state_types`, by its own constructor.
    """

    def __init__(self, folder: Path, state_types: Sequence[type]) -> None:
        self._folder = folder
        self._types = {_type_name(kind): kind for kind in state_types}

    def save(self, index: int, state: Any) -> None:
        """Keep the state after frame `index`."""
        content = io.BytesIO()
        torch.save(pack_state(state, self._types), content)
        data = content.getvalue()
        path = self._folder / f"state-{index:08d}.pt"
        try:
            atomic_write(path, hashlib.sha256(data).digest() + data)
            for _, older in self._files()[_KEPT:]:
                older.unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(f"{path} cannot be written: {exc.strerror or exc}; what is committed stays") from exc

    def newest_first(self) -> Iterator[tuple[int, Any]]:
        """Every state that can be read, with its frame."""
        for index, path in self._files():
            try:
                yield index, self._read(path)
            except Exception:  # noqa: BLE001, S112 - whatever is wrong with it, the one before it may be whole
                continue

    def remove_after(self, index: int) -> None:
        """Forget the states after later frames than this one."""
        for later, path in self._files():
            if later > index:
                path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        found = [(match, path) for path in self._folder.glob("state-*.pt") if (match := _NAME.fullmatch(path.name))]
        return sorted(((int(match[1]), path) for match, path in found), reverse=True)

    def _read(self, path: Path) -> Any:
        data = path.read_bytes()
        digest, content = data[:32], data[32:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{path} is not whole")
        packed = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return unpack_state(packed, self._types)


def pack_state(value: Any, types: Mapping[str, type]) -> _Packed:
    """A state in the words that torch reads without being given any type of ours."""
    if value is None or type(value) in {bool, int, float, str}:
        return ["plain", value]
    if isinstance(value, Tensor):
        return ["plain", _compact(value)]
    if isinstance(value, bytes):
        return ["bytes", torch.from_numpy(np.frombuffer(value, dtype=np.uint8).copy())]
    if isinstance(value, np.ndarray | np.generic):
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return [kind, torch.from_numpy(np.array(value))]
    return _pack_members(value, types)


def _pack_members(value: Any, types: Mapping[str, type]) -> _Packed:
    if type(value) in {tuple, list}:
        return [type(value).__name__, [pack_state(item, types) for item in value]]
    if type(value) is dict:
        return ["dict", [[pack_state(key, types), pack_state(item, types)] for key, item in value.items()]]
    name = _type_name(type(value))
    if name not in types or not dataclasses.is_dataclass(value):
        known = ", ".join(types) or "none"
        raise TypeError(
            f"a state has a {name} in it; expected tensors, arrays, numbers, text and dataclasses of {known}"
        )
    fields = [[field.name, pack_state(getattr(value, field.name), types)] for field in dataclasses.fields(value)]
    return ["object", [name, fields]]


def unpack_state(packed: _Packed, types: Mapping[str, type]) -> Any:
    """The state that `pack_state` was given."""
    kind, value = packed
    if kind == "plain":
        return value
    if kind == "object":
        name, fields = value
        return types[name](**{field: unpack_state(item, types) for field, item in fields})
    if kind == "dict":
        return {unpack_state(key, types): unpack_state(item, types) for key, item in value}
    if kind in _MEMBERS:
        return _MEMBERS[kind](unpack_state(item, types) for item in value)
    return _LEAVES[kind](value.numpy())


_MEMBERS: Final[Mapping[str, Callable[[Iterable[Any]], Any]]] = {"tuple": tuple, "list": list}
_LEAVES: Final[Mapping[str, Callable[[NDArray[Any]], Any]]] = {
    "array": lambda array: array,
    "scalar": lambda array: array[()],
    "bytes": lambda array: array.tobytes(),
}


def _compact(tensor: Tensor) -> Tensor:
    """The tensor without what else is in its storage."""
    detached = tensor.detach()
    whole = detached.untyped_storage().nbytes() == detached.numel() * detached.element_size()
    return detached if whole else detached.clone()


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
