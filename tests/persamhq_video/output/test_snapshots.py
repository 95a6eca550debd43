"""Snapshots: what comes back is what was kept, and a file from somewhere else can run nothing."""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from persam_hq.segmenter import LiteMemory, SamMemory
from persam_hq.segmenter.lite.appearance import Appearance
from persamhq_video.errors import OutputError
from persamhq_video.output.snapshots import Snapshots, state_schema
from persamhq_video.tracking.state import State


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    keys: torch.Tensor | None
    boxes: Any


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    inner: Inner
    digest: bytes
    names: tuple[Any, ...]
    table: dict[Any, Any]

    def __post_init__(self):
        assert isinstance(self.digest, bytes)


SCHEMA = state_schema([Inner])


def round_trip(tmp_path, state, *types):
    Snapshots(tmp_path, types).save(3, state)
    [(index, found)] = Snapshots(tmp_path, types).newest_first()
    assert index == 3
    return found


def test_dataclasses_come_back(tmp_path):
    halves = torch.randn(3, 4).to(torch.float16)[:, ::2]
    boxes = np.arange(6, dtype=np.int16).reshape(2, 3).T
    inner = Inner(keys=halves, boxes=[boxes, np.float32(0.1), None])
    state = Outer(inner=inner, digest=b"\0\xff", names=("a", 1, (2.5, True)), table={(1, 2): b"", "x": Inner(None, 3)})
    found = round_trip(tmp_path, state, Outer, Inner)
    assert type(found) is Outer
    torch.testing.assert_close(found.inner.keys, halves, rtol=0, atol=0)
    assert found.inner.keys.dtype == torch.float16
    np.testing.assert_array_equal(found.inner.boxes[0], boxes)
    assert found.inner.boxes[0].dtype == np.int16
    assert (found.inner.boxes[1], type(found.inner.boxes[1])) == (np.float32(0.1), np.float32)
    assert (found.digest, found.names) == (state.digest, state.names)
    assert found.table[1, 2] == b""
    assert (found.table["x"].keys, found.table["x"].boxes) == (None, 3)


@pytest.mark.parametrize("state", [None, b"digest", 5, "text", (), np.zeros((0, 3))])
def test_plain_states_come_back(tmp_path, state):
    found = round_trip(tmp_path, state)
    assert type(found) is type(state)
    np.testing.assert_array_equal(found, state)


def test_the_tracker_s_own_state_comes_back(tmp_path):
    appearance = Appearance.empty(2, cells=9, key_dim=4, slots=2)
    memory = LiteMemory(
        boxes=torch.rand(2, 4),
        logits=torch.rand(2, 1, 8, 8).half(),
        windows=torch.rand(2, 4),
        keys=torch.rand(2, 4, 3, 3).half(),
        missing=torch.tensor([0, 3]),
        velocity=torch.rand(2, 2),
        appearance=appearance,
    )
    found = round_trip(tmp_path, State(memory), State, LiteMemory, Appearance, type(appearance.ridge))
    assert found.memory.nbytes == memory.nbytes
    for name in ("boxes", "logits", "windows", "keys", "missing", "velocity"):
        assert torch.equal(getattr(found.memory, name), getattr(memory, name))
    assert torch.equal(found.memory.appearance.ridge.gram, appearance.ridge.gram)


def test_the_state_of_a_sam_model_comes_back(tmp_path):
    memory = SamMemory(boxes=torch.rand(2, 4), logits=torch.rand(2, 1, 8, 8).half(), missing=torch.tensor([0, 3]))
    found = round_trip(tmp_path, State(memory), State, SamMemory)
    assert all(torch.equal(getattr(found.memory, name), getattr(memory, name)) for name in memory.__slots__)


def test_only_what_a_view_shows_is_kept(tmp_path):
    round_trip(tmp_path, torch.zeros(1_000_000)[:3])
    assert (tmp_path / "state-00000003.pt").stat().st_size < 10_000


def test_the_two_newest_are_kept(tmp_path):
    snapshots = Snapshots(tmp_path, ())
    for index in (15, 31, 47):
        snapshots.save(index, index)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-00000031.pt", "state-00000047.pt"]
    assert list(snapshots.newest_first()) == [(47, 47), (31, 31)]
    snapshots.remove_after(31)
    assert list(snapshots.newest_first()) == [(31, 31)]


@pytest.mark.parametrize("length", [0, 10, 32, 33, 500, -1])
def test_a_torn_one_falls_back_to_the_one_before(tmp_path, length):
    snapshots = Snapshots(tmp_path, ())
    snapshots.save(15, "a")
    snapshots.save(31, "b")
    newest = tmp_path / "state-00000031.pt"
    newest.write_bytes(newest.read_bytes()[:length])
    assert list(snapshots.newest_first()) == [(15, "a")]


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def put(folder, content):
    (folder / "state-00000031.pt").write_bytes(hashlib.sha256(content).digest() + content)


def test_a_tampered_one_runs_nothing(tmp_path):
    snapshots = Snapshots(tmp_path, (Inner,))
    snapshots.save(15, Inner(None, 1))
    target = tmp_path / "pwned"
    for payload in (Exploit(target), [SCHEMA, ["object", ["Inner", Exploit(target)]]], Inner(None, Exploit(target))):
        saved = io.BytesIO()
        torch.save(payload, saved)
        for content in (saved.getvalue(), pickle.dumps(payload)):
            put(tmp_path, content)
            assert [index for index, _ in snapshots.newest_first()] == [15]
    assert not target.exists()


@pytest.mark.parametrize(
    "packed",
    [
        ["object", ["pathlib.Path", [["x", ["plain", "y"]]]]],
        ["object", ["builtins.eval", []]],
        ["object", ["Inner", [["other", ["plain", 1]]]]],
        ["call", []],
        ["plain"],
        7,
    ],
)
def test_only_the_given_types_are_made(tmp_path, packed):
    saved = io.BytesIO()
    torch.save([SCHEMA, packed], saved)
    put(tmp_path, saved.getvalue())
    assert list(Snapshots(tmp_path, (Inner,)).newest_first()) == []


def test_another_schema_is_not_read(tmp_path):
    assert SCHEMA == "snapshot 2; Inner(keys, boxes)"
    Snapshots(tmp_path, (Inner,)).save(15, Inner(None, 1))
    assert list(Snapshots(tmp_path, (Outer, Inner)).newest_first()) == []
    assert [index for index, _ in Snapshots(tmp_path, (Inner,)).newest_first()] == [15]


def test_the_format_that_named_classes_by_modules_is_not_read(tmp_path):
    saved = io.BytesIO()
    torch.save(["object", [f"{Inner.__module__}.Inner", [["keys", ["plain", None]], ["boxes", ["plain", 1]]]]], saved)
    put(tmp_path, saved.getvalue())
    assert list(Snapshots(tmp_path, (Inner,)).newest_first()) == []


def test_a_state_of_unknown_types_is_said_at_once(tmp_path):
    with pytest.raises(TypeError, match=r"a state has a .*Inner in it; expected .* dataclasses of none"):
        Snapshots(tmp_path, ()).save(0, Inner(None, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: .*; what is committed stays"):
        Snapshots(tmp_path / "file", ()).save(0, 1)
