"""A run that version 0.1.0 left unfinished: its states are of classes that have moved, so it starts again."""

import hashlib
import io
import json
import shutil

import pytest
import torch
from stand_ins.tracker import HashTracker

from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError
from persamhq_video.pipeline.run import run_video

pytestmark = pytest.mark.usefixtures("stand_in")

INLINE = make_config({"executor": "inline"})


def hashes(out):
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def whole(clip, mask, tmp_path):
    run_video(INLINE, clip, mask, tmp_path / "whole")
    return tmp_path / "whole"


def leave_unfinished(out, whole):
    """What 0.1.0 left of this run after four frames; the masks are none that this version would make."""
    record = json.loads((whole / "run.json").read_text())
    identity = {key: record[key] for key in ("config", "fingerprint", "inputs", "plugins")}
    hidden = out / ".persamhq"
    (hidden / "segments" / "masks.mkv").mkdir(parents=True)
    (hidden / "segments" / "masks.mkv" / "00000.packets").write_bytes(b"of other masks")

    # Label maps that are claimed and committed, by the first line of a journal that names no schema
    names = [f"f{index:03d}" for index in range(4)]
    lines = [{"attempt": 1, "format": 1, "identity": identity}]
    (out / "masks").mkdir()
    for index, name in enumerate(names):
        shutil.copy(whole / "masks" / "f011.png", out / "masks" / f"{name}.png")
        lines += [{"begin": "encode", "frame": index}, {"begin": "track", "frame": index}]
    (hidden / "ledger.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (hidden / "files").write_text("".join(f"masks/{name}.png\n" for name in names))
    (out / "run.json").write_text(json.dumps({**record, "status": "interrupted", "files": []}))

    # A state whose classes are named by the modules of that version
    plain = {"boxes": torch.zeros(2, 4), "missing": torch.zeros(2)}
    memory = ["object", ["persam_hq.segmenter.base.Memory", [[k, ["plain", v]] for k, v in plain.items()]]]
    saved = io.BytesIO()
    torch.save(["object", ["persamhq_video.tracker.State", [["memory", memory], ["slots", ["tuple", []]]]]], saved)
    content = saved.getvalue()
    (hidden / "state-00000003.pt").write_bytes(hashlib.sha256(content).digest() + content)


def test_it_starts_again_with_a_line_that_says_so(clip, mask, whole, tmp_path, monkeypatch):
    out, events, tracked = tmp_path / "out", [], []
    leave_unfinished(out, whole)
    track = HashTracker.track

    def counted(self, target, state, features):
        tracked.append(features.frame_index)
        return track(self, target, state, features)

    monkeypatch.setattr(HashTracker, "track", counted)
    run_video(INLINE, clip, mask, out, listener=events.append)
    started = events[0]
    assert (started.event, started.frame) == ("started", 0)
    assert started.message == f"{out} holds an unfinished run of another version; it starts again from frame 0"
    assert tracked == list(range(1, 12))
    assert hashes(out) == hashes(whole)
    assert json.loads((out / "run.json").read_text())["counts"]["attempts"] == 1


def test_another_run_is_still_refused(clip, mask, whole, tmp_path):
    leave_unfinished(tmp_path / "out", whole)
    before = hashes(tmp_path / "out")
    config = make_config({"executor": "inline", "mode": "independent"})
    with pytest.raises(ConfigError, match=r"holds another run \(different: config.mode"):
        run_video(config, clip, mask, tmp_path / "out")
    with pytest.raises(ConfigError, match="no_resume is set"):
        run_video(make_config({"executor": "inline", "no_resume": True}), clip, mask, tmp_path / "out")
    assert hashes(tmp_path / "out") == before
