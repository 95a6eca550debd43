from pathlib import Path

import pytest
import yaml

from persam_hq.errors import InputError
from persam_hq.training.config.load import load_train_config

REPOSITORY = Path(__file__).parents[4]
# Clips of DAVIS's validation split, and those of its training split that choices are tuned on
VALIDATION = {
    *("bmx-trees", "breakdance", "camel", "car-shadow", "dance-twirl"),
    *("goat", "horsejump-high", "libby", "scooter-black", "soapbox"),
}
HELD_OUT = {"boat", "dance-jump", "kite-walk", "motorbike", "rhino", "soccerball"}
CROP = {"side": 64, "batch": 1, "length": 2, "weight": 1}


@pytest.mark.parametrize("file", ["lite.yaml", "lite_hq.yaml"])
def test_the_configurations_of_lite_keep_out_the_clips_that_it_is_judged_on(file):
    config = load_train_config(REPOSITORY / "configs" / "train" / file)
    names = {part for source in config.clips for name in source.names for part in name.split("+")}
    assert names
    assert not names & (VALIDATION | HELD_OUT)
    assert file != "lite.yaml" or config.start_from is None
    # Six clips are named as held out, for whoever adds one
    assert all(name in (REPOSITORY / "configs" / "train" / "lite.yaml").read_text() for name in HELD_OUT)
    assert all(crop.length >= 2 for crop in config.crops)
    assert config.stills is not None


def test_every_key_of_lites_configuration_has_a_comment():
    lines = (REPOSITORY / "configs" / "train" / "lite.yaml").read_text().splitlines()
    keys = [line for line in lines if line and not line.startswith(("#", " "))]
    assert len(keys) > 15
    assert [line for line in keys if " #" not in line] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: Input should be greater than 0"),
        ({"stepps": 3}, "stepps: Extra inputs are not permitted"),
        ({"clip_length": 4}, "clip_length: Extra inputs are not permitted"),
        ({"crops": []}, "crops: Tuple should have at least 1 item"),
        ({"crops": [CROP | {"side": 60}]}, "crops.0.side: Input should be a multiple of 32"),
        ({"crops": [CROP, CROP | {"length": 1}]}, "crops.1.length: Input should be greater than or equal to 2"),
        ({"crops": [{"side": 64, "batch": 1, "weight": 1}]}, "crops.0.length: Field required"),
        ({"stills": {"side": 100, "batch": 1}}, "stills.side: Input should be a multiple of 32"),
        ({"stills": {"side": 64, "batch": 0}}, "stills.batch: Input should be greater than 0"),
        ({"stills": {"side": 64, "batch": 1, "length": 2}}, "stills.length: Extra inputs are not permitted"),
        ({"absent": -0.1}, "absent: Input should be greater than or equal to 0"),
        ({"absent": 1.0}, "absent: Input should be less than 1"),
        ({"clips": [], "photos": []}, "the file: Value error, clips and photos are both empty"),
        ({"train": "hq"}, "the file: Value error, train: hq needs start_from"),
        ({"ema_decay": 1.0}, "ema_decay: Input should be less than 1"),
    ],
)
def test_what_makes_no_sense_is_named_in_one_line(make_config, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        make_config(**changes)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"clips": []}))
    with pytest.raises(InputError, match=r"train.yaml is not a training configuration: photos: Field required"):
        load_train_config(path)


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"- 1\n- 2", b""])
def test_what_is_no_mapping_is_no_configuration(tmp_path, content):
    path = tmp_path / "train.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train.yaml is not a training configuration: ") as caught:
        load_train_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the training configuration .*none.yaml: No such file"):
        load_train_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("stills", [None, {"side": 96, "batch": 4}])
def test_image_prompts_may_be_left_out(make_config, stills):
    got = make_config(stills=stills).stills
    assert (None if got is None else got.model_dump()) == stills


def test_a_configuration_is_frozen(make_config):
    with pytest.raises(ValueError, match="frozen"):
        make_config().steps = 3


@pytest.mark.parametrize("key", ["appearance_change", "turning"])
def test_the_earlier_name_of_the_appearance_change_is_still_read(make_config, key):
    assert make_config(**{key: 0.25}).appearance_change == 0.25
