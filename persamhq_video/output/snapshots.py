"""Snapshots of a tracker's state on the disk, from which a killed run goes on; reading one never runs anything.

A file is the SHA-256 of the rest, then what `torch.save` makes of a schema and a packed state. The schema names the
classes of a state with their fields, so that a version whose state is another takes no snapshot for its own.
"""

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

__all__ = ["Snapshots", "pack_state", "state_schema", "unpack_state"]

_FORMAT: Final = 2
"""Of packed states; raised when a field means something else under its old name. 1 named classes by their modules."""
_KEPT: Final = 2
"""The newest may be torn by the end of the process, so the one before it stays."""
_DIGEST_BYTES: Final = 32
"""Of a SHA-256."""
_NAME: Final = re.compile(r"state-(\d+)\.pt")
_Packed = list[Any]
"""A kind and a value: plain, bytes, array or scalar; tuple, list or dict with items; object with its type's name and
fields."""


def state_schema(types: Sequence[type]) -> str:
    """The format of snapshots, and every class of a state with its fields; another version's differs."""
    members = (f"{_type_name(kind)}({', '.join(field.name for field in dataclasses.fields(kind))})" for kind in types)
    return "; ".join([f"snapshot {_FORMAT}", *members])


class Snapshots:
    """States after given frames, the two newest ones, each whole or not there.

    A folder may be shared, so what lies in it is not trusted: torch reads tensors, numbers and text and nothing else,
    and an object is only ever made of one of `state_types`, by its own constructor.
    """

    def __init__(self, folder: Path, state_types: Sequence[type]) -> None:
        self._folder = folder
        self._types = {_type_name(kind): kind for kind in state_types}
        assert len(self._types) == len(state_types), f"two classes of a state share a name: {state_types}"
        self.schema = state_schema(state_types)

    def save(self, index: int, state: Any) -> None:
        """Keep the state after frame `index`."""
        content = io.BytesIO()
        torch.save([self.schema, pack_state(state, self._types)], content)
        data = content.getvalue()
        path = self._folder / f"state-{index:08d}.pt"
        try:
            atomic_write(path, hashlib.sha256(data).digest() + data)
            for _, older in self._files()[_KEPT:]:
                older.unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(f"{path} cannot be written: {exc.strerror or exc}; what is committed stays") from exc

    def newest_first(self) -> Iterator[tuple[int, Any]]:
        """Every state that this version can read, with its frame."""
        for index, path in self._files():
            try:
                yield index, self._read(path)
            except Exception:  # noqa: BLE001, S112 - whatever is wrong with it, the one before it may be whole
                continue

    def remove_after(self, index: int) -> None:
        """Remove the states after later frames than this one."""
        for later, path in self._files():
            if later > index:
                path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        found = [(match, path) for path in self._folder.glob("state-*.pt") if (match := _NAME.fullmatch(path.name))]
        return sorted(((int(match[1]), path) for match, path in found), reverse=True)

    def _read(self, path: Path) -> Any:
        data = path.read_bytes()
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{path} is not whole")
        schema, packed = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if schema != self.schema:
            raise ValueError(f"{path} is of another version ({schema}), expected {self.schema}")
        return unpack_state(packed, self._types)


def pack_state(value: Any, types: Mapping[str, type]) -> _Packed:
    """A state as nested lists of what torch reads without being given any type of ours."""
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

    # Only dataclasses that the tracker has announced, so that what is written can be read back
    name = _type_name(type(value))
    if types.get(name) is not type(value) or not dataclasses.is_dataclass(value):
        known = ", ".join(types) or "none"
        raise TypeError(
            f"a state has a {type(value).__module__}.{name} in it;"
            f" expected tensors, arrays, numbers, text and dataclasses of {known}"
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
    """The tensor without what else is in its storage: torch saves a storage whole, however little a view shows."""
    detached = tensor.detach()
    whole = detached.untyped_storage().nbytes() == detached.numel() * detached.element_size()
    return detached if whole else detached.clone()


def _type_name(kind: type) -> str:
    """How a class is named in snapshots: without its module, so that moving it changes nothing."""
    return kind.__qualname__
