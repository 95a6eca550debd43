from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from persam_hq.options import TRACKER_PARTS
from persam_hq.segmenter.build import Detail
from persamhq_video.config import (
    LITE_AUTO,
    PRESETS,
    DetailName,
    PartName,
    Preset,
    RunConfig,
    StrategyChoice,
    load_config,
    make_config,
)
from persamhq_video.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs" / "run"


def test_default_file_holds_every_option_with_its_default():
    content = yaml.safe_load((CONFIGS / "default.yaml").read_text())
    assert set(content) == set(RunConfig.model_fields)
    assert make_config(content) == RunConfig()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_load_and_comment_every_key(path):
    assert isinstance(load_config(path, {}), RunConfig)
    keys = [line for line in path.read_text().splitlines() if line[:1].isalpha()]
    assert keys
    assert all("#" in line for line in keys)


def test_flags_win_over_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: vit_b\nstride: 3\n")
    config = load_config(path, {"stride": "2"})
    assert (config.model, config.stride) == ("vit_b", 2)


@pytest.mark.parametrize(("size", "bytes_"), [("2GB", 2_000_000_000), ("500MB", 500_000_000), ("1GiB", 2**30), (7, 7)])
def test_sizes(size, bytes_):
    assert make_config({"feature_budget": size}).feature_budget == bytes_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": 2}, r"unknown option 'strides' \(did you mean 'stride'\?\); known: address, "),
        ({"model": "sam9"}, r"option model: got 'sam9'; input should be 'lite'"),
        ({"stride": 0}, r"option stride: got 0; input should be greater"),
        ({"workers": "many"}, r"option workers: got 'many'"),
        ({"feature_budget": "lots"}, r"option feature_budget: got 'lots'"),
        ({"encode_batch": 2}, r"option encode_batch: got 2"),
        ({"outputs": ["masks", 3]}, r"option outputs: got 3"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_config(options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("- a\n", "holds a list"), ("a: [", "is not YAML"), ("nothing: 1\n", "unknown option")],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_config(path, {})


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(tmp_path / "none.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match="is not a text file"):
        load_config(tmp_path / "binary.yaml", {})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_found_by_name_from_anywhere(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(Path(path.stem), {}) == load_config(path, {})


def test_a_name_that_is_not_known_lists_those_that_are():
    known = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    message = rf"no file and no configuration is named 'steddy' \(did you mean 'steady'\?\); known: {known}$"
    with pytest.raises(ConfigError, match=message):
        load_config(Path("steddy"), {})


def test_a_file_of_ones_own_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steady").write_text("stride: 3\n")
    assert load_config(Path("steady"), {}) == RunConfig(stride=3)


@pytest.mark.parametrize("path", ["steady.yaml", "configs/run/steady"])
def test_a_path_is_never_taken_for_a_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(Path(path), {})


def test_empty_file_is_the_default(tmp_path):
    (tmp_path / "run.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "run.yaml", {}) == RunConfig()


@pytest.mark.parametrize(
    ("options", "preset"),
    [
        ({"mode": "auto"}, LITE_AUTO),
        ({"mode": "auto", "published": True}, PRESETS["auto"]),
        ({"mode": "auto", "model": "vit_b"}, PRESETS["auto"]),
        ({"mode": "chained"}, PRESETS["chained"]),
        ({"mode": "independent"}, PRESETS["independent"]),
    ],
)
def test_presets_fill_what_is_not_configured(options, preset):
    config = make_config(options)
    assert config.strategies == preset
    assert make_config({**options, "prompts": "mine"}).strategies == Preset(StrategyChoice(name="mine"), preset.refine)


@pytest.mark.parametrize("none", [["none"], []])
def test_no_refiner_at_all(none):
    assert make_config({"refine": none}).strategies.refine == ()


def test_home_is_known_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/where/i/live")
    (tmp_path / "run.yaml").write_text("checkpoint: ~/vit_b.pth\nmask_weights: a/~/cat.json\n")
    config = load_config(tmp_path / "run.yaml", {})
    assert (str(config.checkpoint), str(config.mask_weights)) == ("/where/i/live/vit_b.pth", "a/~/cat.json")


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().model = "vit_b"


def test_the_details_are_those_of_lite():
    assert get_args(DetailName) == get_args(Detail)


def test_the_parts_of_the_tracker_are_the_segmenters():
    assert get_args(PartName) == TRACKER_PARTS
    with pytest.raises(ConfigError, match="option without: got 'moton'"):
        make_config({"without": ["moton"]})
