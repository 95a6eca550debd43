"""The output folder and the parts of a run, and a stand-in for the similarity prior, which would load a model."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def command(clip, mask, out):
    """A run that works, as a dictionary of its parts."""
    return {"video": clip, "--mask": mask, "--out": out, "--executor": "inline"}


@pytest.fixture
def baselines(monkeypatch):
    def similarity_prior_masks(config):
        return lambda frames, first_mask: (np.zeros_like(first_mask) for _ in frames)

    module = SimpleNamespace(similarity_prior_masks=similarity_prior_masks)
    monkeypatch.setitem(sys.modules, "persamhq_video.evaluation.similarity_baseline", module)
