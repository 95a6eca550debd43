"""The files for Ray's cluster launcher, held against Ray's own checks."""

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILES = sorted((Path(__file__).parents[3] / "configs" / "cluster").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_takes_the_file(path):
    content = yaml.safe_load(path.read_text())
    prepared = prepare_config(content)
    validate_config(prepared)
    (node,) = prepared["available_node_types"].values()
    assert node["min_workers"] == node["max_workers"] == len(content["provider"]["worker_ips"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_has_a_comment(path):
    keys = [line for line in path.read_text().splitlines() if line.lstrip()[:1].isalpha()]
    assert keys
    assert all(" # " in line for line in keys)
