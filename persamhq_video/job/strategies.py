"""The strategies of a job: made from the plugin registry by the names in the configuration, and checked against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from persam_hq.checkpoint.scale_weights import read_mask_weights
from persamhq_video.config import RunConfig, StrategyChoice
from persamhq_video.errors import ConfigError
from persamhq_video.plugin.manager import PluginRegistry
from persamhq_video.plugin.registry import Register
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector
from persamhq_video.tracking.strategy import Strategy

StrategyT = TypeVar("StrategyT")


def choose_strategies(
    config: RunConfig, registry: PluginRegistry
) -> tuple[Strategy[PromptSelector], tuple[Strategy[MaskRefiner], ...]]:
    """Make the strategies that the configuration names and check that all of it fits together."""
    if config.detail != "normal" and config.model != "lite":
        raise ConfigError(f"option detail: got {config.detail} with the model {config.model}; lite alone has a choice")

    # The selector and the refiners that the configuration names, or those of its preset
    strategies = config.strategies
    selector = _make(registry.prompt_selectors, strategies.prompts)
    refiners = tuple(_make(registry.mask_refiners, choice) for choice in strategies.refine)

    # Each against what this run offers it
    _check_fits(selector, config)
    for refiner in refiners:
        _check_fits(refiner, config)
    return selector, refiners


def resolve_strategies(config: RunConfig, registry: PluginRegistry) -> RunConfig:
    """The configuration with every option of its strategies written out; a wrong one is a ConfigError."""

    def resolved(register: Register[Any], choice: StrategyChoice) -> StrategyChoice:
        options = register.entry(choice.name).check(choice.options)
        return StrategyChoice(name=choice.name, options=options)

    strategies, known = config.strategies, _known_weights(config.mask_weights)
    prompts = resolved(registry.prompt_selectors, strategies.prompts)
    refine = tuple(resolved(registry.mask_refiners, choice) for choice in (*known, *strategies.refine))
    return config.model_copy(update={"prompts": prompts, "refine": refine, "mask_weights": None})


def _known_weights(path: Path | None) -> tuple[StrategyChoice, ...]:
    """PerSAM-F's refiner with the weights of a file, if there is one; a single object's weights serve all."""
    if path is None:
        return ()
    objects = read_mask_weights(path)
    # Object 0 stands for every object that has no weights of its own
    named = {int(name) if name.isdigit() else 0: found.weights for name, found in objects.items()}
    weights = {0: next(iter(named.values()))} if len(named) == 1 else named
    return (StrategyChoice(name="scale_weights", options={"weights": weights}),)


def _make(register: Register[StrategyT], choice: StrategyChoice) -> Strategy[StrategyT]:
    entry = register.entry(choice.name)
    return Strategy(kind=entry.kind, name=entry.name, plugin=entry.plugin, call=entry.make(choice.options))


def _check_fits(strategy: Strategy[Any], config: RunConfig) -> None:
    """Refuse a strategy that needs what this run lacks: earlier results, lite's prior, HQ or interm embeddings."""
    who = f"the {strategy.kind} {strategy.name!r}"
    if config.mode == "independent" and strategy.needs_history:
        raise ConfigError(
            f"{who} needs earlier results, which mode independent does not have; choose another, or mode chained"
        )
    if strategy.needs("dense_prior") and config.model != "lite":
        raise ConfigError(f"{who} needs the dense location prior of lite, got the model {config.model}; choose another")
    if strategy.needs("hq") and not config.uses_hq:
        raise ConfigError(f"{who} needs the HQ-Output token, which this run does without; add --decoder hq")
    if strategy.needs("interm") and not config.keep_interm:
        raise ConfigError(f"{who} needs the interm embeddings, which this run does not keep; add --keep-interm")
