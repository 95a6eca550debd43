"""An annotated data set of noise, and a stand-in for the similarity prior."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def davis(tmp_path, make_clip, mask):
    """Two sequences whose every annotation is the first mask."""
    root = tmp_path / "davis"
    for name in ("camel", "goat"):
        frames = make_clip(name, frames=5)
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        frames.rename(root / "JPEGImages" / name)
        annotations = root / "Annotations" / name
        annotations.mkdir(parents=True)
        for frame in sorted((root / "JPEGImages" / name).iterdir()):
            annotations.joinpath(frame.name).write_bytes(mask.read_bytes())
    return root


@pytest.fixture
def baselines(monkeypatch):
    def similarity_prior_masks(config):
        return lambda frames, first_mask: (np.zeros_like(first_mask) for _ in frames)

    module = SimpleNamespace(similarity_prior_masks=similarity_prior_masks)
    monkeypatch.setitem(sys.modules, "persamhq_video.baselines", module)
