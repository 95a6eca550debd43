"""PerSAM-F's weights of a file in a run: the refiner comes first, with what the file holds."""

import json

import pytest

from persam_hq.errors import InputError
from persamhq_video.config import make_config
from persamhq_video.job.strategies import resolve_strategies
from persamhq_video.plugin.manager import load_registry

HASHES = {"image": "0" * 64, "mask": "1" * 64}


@pytest.fixture
def weights_file(tmp_path):
    """Write weights by object."""

    def write(**objects):
        found = {
            name: {"weights": weights, "loss": 0.1, "solver": "optimal", "reference": HASHES}
            for name, weights in objects.items()
        }
        path = tmp_path / "weights.json"
        path.write_text(json.dumps({"format": "persam-hq mask weights", "version": 1, "objects": found}))
        return path

    return write


def refiners(path, **options):
    config = make_config({"mode": "chained", "mask_weights": path, **options})
    resolved = resolve_strategies(config, load_registry())
    assert resolved.mask_weights is None
    return [(choice.name, choice.options.get("weights")) for choice in resolved.strategies.refine]


def test_those_of_one_object_serve_all(weights_file):
    found = refiners(weights_file(dog=[0.5, 0.25, 0.25]))
    assert found == [("scale_weights", {0: (0.5, 0.25, 0.25)}), ("cascade", None)]


def test_those_of_several_go_by_id(weights_file):
    path = weights_file(**{"1": [1, 0, 0], "2": [0, 0, 1]})
    assert refiners(path, refine=["none"]) == [("scale_weights", {1: (1, 0, 0), 2: (0, 0, 1)})]


def test_without_a_file_nothing_is_added():
    assert refiners(None) == [("cascade", None)]


def test_a_file_that_holds_something_else(tmp_path):
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(InputError, match="holds no mask weights"):
        refiners(tmp_path / "weights.json")
