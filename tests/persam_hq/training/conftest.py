"""Training data of a few small frames and photos, a configuration for it, and a loop that trains the tiny model."""

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from stand_ins.lite import fill, tiny_lite, tiny_trunk

from persam_hq.build.lite import training_geometry
from persam_hq.training.config.load import load_train_config
from persam_hq.training.lite import recipe as lite_recipe
from persam_hq.training.start import start_training

FRAMES, SIZE = 9, (72, 96)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    cv2.setNumThreads(1)


def texture(seed, size=SIZE):
    return np.random.default_rng(seed).integers(60, 190, (*size, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def clips_root(tmp_path_factory):
    """A clip in DAVIS layout: a square that moves by two pixels a frame, masks of 0 and 255."""
    root = tmp_path_factory.mktemp("clips")
    for folder in ("JPEGImages", "Annotations"):
        (root / folder / "square").mkdir(parents=True)
    for index in range(FRAMES):
        image, mask = texture(index), np.zeros(SIZE, np.uint8)
        image[20:50, 20 + 2 * index : 50 + 2 * index] = (220, 30, 30)
        mask[20:50, 20 + 2 * index : 50 + 2 * index] = 255
        Image.fromarray(image).save(root / "JPEGImages" / "square" / f"{index:05d}.jpg")
        Image.fromarray(mask).save(root / "Annotations" / "square" / f"{index:05d}.png")
    return root


@pytest.fixture(scope="session")
def photos_root(tmp_path_factory):
    """Three photos in two splits, each with label maps by two annotators."""
    root = tmp_path_factory.mktemp("photos")
    for index, split in enumerate(("train", "train", "test")):
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "annotations" / split).mkdir(parents=True, exist_ok=True)
        labels = np.zeros(SIZE, np.uint8)
        labels[10:40, 10:44], labels[44:66, 50:90] = 1, 2
        Image.fromarray(texture(20 + index)).save(root / "images" / split / f"p{index}.jpg")
        for annotator in (1, 2):
            Image.fromarray(labels * annotator).save(root / "annotations" / split / f"p{index}_{annotator}.png")
    (root / "images" / "train" / "unlabelled.jpg").write_bytes((root / "images" / "train" / "p0.jpg").read_bytes())
    return root


@pytest.fixture
def make_config(clips_root, photos_root, tmp_path):
    """The smallest configuration that has everything, with changes."""

    def make(**changes):
        content = {
            "clips": [{"root": str(clips_root), "names": ["square"], "weight": 0.5}],
            "photos": [{"root": str(photos_root), "background": True, "weight": 0.5}],
            "crops": [{"side": 64, "batch": 2, "length": 3, "weight": 1.0}],
            "stills": {"side": 64, "batch": 1},
            "absent": 0.1,
            "steps": 4,
            "unfreeze_trunk_at": 2,
            "frozen_blocks": 2,
            "learning_rate": 0.001,
            "trunk_factor": 0.1,
            "weight_decay": 0.02,
            "warmup_steps": 2,
            "ema_decay": 0.9,
            "gradient_clip": 1.0,
            "seed": 5,
            "threads": 1,
            "save_every_seconds": 1000.0,
        } | changes
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_train_config(path)

    return make


@pytest.fixture
def tiny_training(monkeypatch):
    """Training builds the tiny model and starts from a made-up trunk."""

    def small_lite(*, geometry):
        assert geometry == training_geometry(24)
        return tiny_lite()

    def trunk():
        model = tiny_trunk()
        fill(model)
        return model.state_dict()

    monkeypatch.setattr(lite_recipe, "build_lite", small_lite)
    monkeypatch.setattr(lite_recipe, "load_imagenet_trunk", trunk)
    return start_training
