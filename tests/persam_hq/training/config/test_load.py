from pathlib import Path

import pytest
import yaml
from stand_ins.training import sam_content

from persam_hq.errors import InputError
from persam_hq.training.config.load import load_train_config
from persam_hq.training.config.sam import SamTrainConfig

CONFIGS = Path(__file__).parents[4] / "configs" / "train"
MODELS = ("vit_b", "vit_l", "vit_h", "vit_tiny")


@pytest.fixture
def write(tmp_path):
    """Write configurations as YAML files of those names; the path of the last one."""

    def files(**contents):
        for name, content in contents.items():
            path = tmp_path / f"{name}.yaml"
            path.write_text(yaml.safe_dump(content))
        return path

    return files


@pytest.mark.parametrize("name", MODELS)
def test_the_configurations_that_come_along(name):
    config = load_train_config(CONFIGS / f"{name}.yaml")
    assert isinstance(config, SamTrainConfig)
    assert config.model == name
    assert [stage.train for stage in config.stages] == [("prompt_encoder", "mask_decoder"), ("hq",)]
    assert sum(config.prompts.values()) == pytest.approx(1)
    assert len(config.data.pairs) == 7


@pytest.mark.parametrize("name", MODELS)
def test_every_key_has_a_comment_and_a_variant_changes_few(name):
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    keys = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in keys if " # " not in line and " #" not in line] == []
    assert name == "vit_b" or len(keys) <= 10


def test_mappings_are_merged_and_the_rest_is_replaced(write):
    base = sam_content(prompts={"point": 1, "box": 3}, seed=5)
    path = write(base=base, middle={"extends": "base.yaml", "seed": 6}, top={"extends": "middle.yaml", "batch": 9})
    config = load_train_config(path)
    assert (config.seed, config.batch) == (6, 9)
    path = write(top={"extends": "base.yaml", "prompts": {"box": 0, "mask": 1}})
    assert load_train_config(path).prompts == {"point": 0.5, "box": 0, "mask": 0.5}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": {"extends": "b.yaml"}, "b": {"extends": "a.yaml"}}, "extends leads back to it"),
        ({"a": {"extends": 3}}, "extends: expected the name of a YAML file"),
        ({"a": {"extends": "none.yaml"}}, r"cannot read the training configuration .*none.yaml: No such file"),
        ({"a": ["no", "mapping"]}, "expected keys with values"),
        ({"a": {"model": "vit_x"}}, "model: Input should be 'vit_b', 'vit_l', 'vit_h' or 'vit_tiny'"),
    ],
)
def test_what_cannot_be_read_is_one_line(write, files, message):
    with pytest.raises(InputError, match=message) as caught:
        load_train_config(write(**files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": {"box": 0}}, "prompts: Value error, expected weights >= 0, one of them above 0"),
        ({"prompts": {"lasso": 1}}, "prompts.lasso"),
        ({"data": {}}, "data: Value error, pairs, photos and clips are all empty"),
        ({"stages": []}, "stages: Tuple should have at least 1 item"),
        ({"precision": "float16"}, "precision: Input should be 'float32' or 'bfloat16'"),
        ({"stages": [{"name": "a", "train": ["hq"], "learning_rate": 1, "warmup_steps": 0}]}, "either epochs or steps"),
        ({"lr": 1}, "lr: Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_named(write, changes, message):
    with pytest.raises(InputError, match=message):
        load_train_config(write(a=sam_content(**changes)))
