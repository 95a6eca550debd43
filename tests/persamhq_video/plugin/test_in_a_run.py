"""A plugin of a single file in real runs with lite: inline, on Ray, killed, and when it is wrong."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image
from proofs import engine as engine_proof
from proofs.engine import Clip

pytestmark = pytest.mark.slow

SIZE, FRAMES = (96, 160), 24

COUNTER = """
    import time
    import torch
    from persam_hq.types import PromptSet
    from persamhq_video.plugin import hookimpl

    class Counter:
        needs_history = True

        def __call__(self, prior, view, frame):
            time.sleep(0.05)  # long enough to be killed
            x0, y0, x1, y1 = view.box
            box = torch.tensor([x0, y0, x1 - (view.slot or 0), y1])
            return PromptSet.from_points(box=box)

        def remember(self, slot, seen):
            return (slot or 0) + 1

    @hookimpl
    def persamhq_register_prompt_selectors(register):
        register.add("counter", Counter)
"""


@pytest.fixture
def clip(tmp_path):
    """A bright square that moves over noise."""
    folder, noise = tmp_path / "clip", np.random.default_rng(3).integers(0, 90, (*SIZE, 3), dtype=np.uint8)
    folder.mkdir()
    for index in range(FRAMES):
        image = noise.copy()
        image[30:60, 20 + 2 * index : 50 + 2 * index] = (230, 180, 40)
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    labels = np.zeros(SIZE, np.uint8)
    labels[30:60, 20:50] = 1
    Image.fromarray(labels).save(tmp_path / "mask.png")
    # Without the sources of lite's dense prior the prompts alone decide
    sources = ("first-matching", "ridge", "previous-frame")
    without = [word for source in sources for word in ("--without", source)]
    return Clip(folder, tmp_path / "mask.png", ("--mode", "chained", "--refine", "none", *without))


def with_plugin(clip, tmp_path, text=COUNTER, name="counter"):
    """The same clip, run with a plugin of a single file."""
    file = tmp_path / f"{name}.py"
    file.write_text(textwrap.dedent(text))
    return Clip(clip.video, clip.mask, (*clip.options, "--plugin", str(file), "--prompts", name))


class TestACounter:
    """It changes the prompts of a run, and no byte depends on who does what."""

    def test_it_changes_masks_the_same_way_everywhere(self, clip, tmp_path):
        default = Clip(clip.video, clip.mask, (*clip.options, "--prompts", "top_k_points"))
        plain = engine_proof.inline(default, tmp_path / "plain")
        clip = with_plugin(clip, tmp_path)
        inline = engine_proof.inline(clip, tmp_path / "inline")
        assert inline.hashes["masks.mkv"] != plain.hashes["masks.mkv"]
        killed = engine_proof.workers_killed(2, seed=1)(clip, tmp_path / "workers")
        assert (killed.kills, killed.hashes) == (2, inline.hashes)

    def test_a_killed_run_goes_on_with_what_it_kept(self, clip, tmp_path):
        clip = with_plugin(clip, tmp_path)
        inline = engine_proof.inline(clip, tmp_path / "inline")
        resumed = engine_proof.driver_killed(1, 2, "--executor", "inline")(clip, tmp_path / "resumed")
        assert resumed.hashes == inline.hashes
        assert resumed.record["counts"]["attempts"] == 2


def run(clip, out, *options):
    """The exit code and what went to standard error."""
    command = [sys.executable, "-m", "persamhq_video", "run", clip.video, "--mask", clip.mask, "--out", out]
    done = subprocess.run([*command, "--quiet", *clip.options, *options], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param("raise ValueError('lost')", "ValueError: lost", id="raises"),
        pytest.param("return [1, 2]", "it returned a list, expected a PromptSet", id="another type"),
        pytest.param("return PromptSet.from_points(box=[1])", "AttributeError", id="another shape"),
    ],
)
def test_a_strategy_that_fails_at_frame_7_keeps_the_frames_before(clip, tmp_path, body, what):
    text = f"""
        from persam_hq.types import PromptSet
        from persamhq_video.plugin import hookimpl

        class Fails:
            needs_history = False

            def __call__(self, prior, view, frame):
                if frame.index == 7:
                    {body}
                return PromptSet.from_points(positive=[[30, 40]])

        @hookimpl
        def persamhq_register_prompt_selectors(register):
            register.add("fails", Fails)
    """
    out = tmp_path / "out"
    code, told = run(with_plugin(clip, tmp_path, text, "fails"), out, "--executor", "inline")
    assert code == 3
    assert f"the prompt selector 'fails' (plugin fails.py) failed at frame 7, object 1: {what}" in told
    assert len(told.strip().splitlines()) == 1
    assert engine_proof.open_masks(out) == 7
