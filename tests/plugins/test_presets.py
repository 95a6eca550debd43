from pathlib import Path

import pytest

from persamhq_video.config import load_config, make_config
from persamhq_video.errors import ConfigError
from persamhq_video.job.strategies import choose_strategies
from persamhq_video.plugin.manager import load_registry

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "configs" / "run").glob("*.yaml"))


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_the_strategies_of_every_preset_can_be_made_and_fit_the_rest_of_it(registry, path):
    config = load_config(path, {})
    selector, refiners = choose_strategies(config, registry)
    assert selector.name == config.strategies.prompts.name
    assert [refiner.name for refiner in refiners] == [choice.name for choice in config.strategies.refine]


@pytest.mark.parametrize("path", [p for p in PRESETS if p.stem != "default"], ids=lambda path: path.stem)
def test_a_preset_overrides_a_few_lines(path):
    first, *rest = path.read_text().splitlines()
    assert first.startswith("# ")
    assert len(rest) <= 10


@pytest.mark.parametrize(
    ("preset", "selector", "refiners"),
    [
        ("persam_f", "persam_video", ["scale_weights", "cascade"]),
        ("sharp_edges", "dense_prior", ["drop_specks", "guided_filter"]),
        ("steady", "dense_prior", ["drop_specks", "temporal_smooth"]),
        ("discriminative", "discriminative", ["drop_specks"]),
        ("multi_instance", "multi_peak", ["cascade", "fill_holes"]),
    ],
)
def test_what_presets_combine(registry, preset, selector, refiners):
    config = load_config(ROOT / "configs" / "run" / f"{preset}.yaml", {})
    assert config.strategies.prompts.name == selector
    assert [choice.name for choice in config.strategies.refine] == refiners


def test_every_strategy_is_in_the_table(registry):
    table, _, _ = (ROOT / "docs" / "reference" / "strategies.md").read_text().partition("## Presets")
    for register in (registry.prompt_selectors, registry.mask_refiners):
        for entry in register.entries():
            (row,) = [line for line in table.splitlines() if line.startswith(f"| `{entry.name}` |")]
            options = [f"`{option.name}`" for option in entry.options]
            assert all(option in row for option in options), entry.name


INDEPENDENT = {"mode": "independent", "refine": [], "prompts": "top_k_points"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": "persam_video"}, "'persam_video' needs"),
        ({"prompts": "previous_mask"}, "'previous_mask' needs"),
        ({"prompts": {"discriminative": {"update": True}}}, "'discriminative' needs"),
        ({"refine": ["temporal_smooth"]}, "'temporal_smooth' needs"),
        ({"refine": ["hq_only"], "decoder": "sam"}, "'hq_only' needs"),
    ],
    ids=str,
)
def test_what_a_run_cannot_give_is_refused(registry, options, message):
    with pytest.raises(ConfigError, match=message):
        choose_strategies(make_config({**INDEPENDENT, **options}), registry)


@pytest.mark.parametrize("prompts", ["similarity_box", "multi_peak", "discriminative"])
def test_pure_selectors_go_with_independent_frames(registry, prompts):
    refine = ["scale_weights", "largest_component", "fill_holes", "guided_filter"]
    config = make_config({**INDEPENDENT, "prompts": prompts, "refine": refine})
    selector, refiners = choose_strategies(config, registry)
    assert not any(strategy.needs_history for strategy in (selector, *refiners))


def test_a_sam_model_has_no_choice_of_detail(registry):
    with pytest.raises(ConfigError, match="option detail: got fine with the model vit_b; lite alone has a choice"):
        choose_strategies(make_config({"model": "vit_b", "detail": "fine"}), registry)
