"""The training loop: optimise, average, log, validate, save; a killed run goes on where its last save was."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.training.curves import append_curves, curves_to_csv, cut_curves
from persam_hq.training.distributed import Alone, Communicator
from persam_hq.training.recipe import Recipe, Settings

Report = Callable[[str], None]
STATE_NAME, WEIGHTS_NAME, CURVES_NAME, TABLE_NAME = "state.pt", "ema.safetensors", "curves.jsonl", "curves.csv"
VALIDATION_NAME = "validation"


class Training:
    """A run in a folder: `state.pt` to go on from, `ema.safetensors` to use, `curves.jsonl` and pictures to look at.

    `report` is told how it goes, a line at a time. A step's batch and choices depend on its number alone, so a run that
    was killed and goes on from its last save gives the same numbers as one that was not. Of several workers each has
    a Training of its own and the same weights; worker 0 writes.
    """

    def __init__(
        self,
        recipe: Recipe[Any],
        settings: Settings,
        out: Path,
        *,
        report: Report,
        communicator: Communicator | None = None,
    ) -> None:
        self.recipe, self.settings, self.out = recipe, settings, out
        self.communicator = communicator or Alone()
        self.writes = self.communicator.rank == 0
        self.report = report if self.writes else _say_nothing
        self._make_folder()
        resumes = self.state_path.exists()
        if not resumes:
            recipe.start()

        self.model = recipe.model
        self.optimizer = torch.optim.AdamW(recipe.parameter_groups(), weight_decay=settings.weight_decay)
        weights = self.model.state_dict()
        self.ema = {name: weights[name].detach().clone() for name in recipe.learned}
        self.step = 0
        if resumes:
            self._resume()
        if self.writes:
            cut_curves(self.out / CURVES_NAME, step=self.step)

    @property
    def state_path(self) -> Path:
        """What a run goes on from."""
        return self.out / STATE_NAME

    def _make_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise InputError(f"cannot make the folder {self.out} for the run: {exc.strerror}") from exc

    def _resume(self) -> None:
        state = torch.load(self.state_path, weights_only=True, map_location="cpu")
        if state["model"].keys() != self.ema.keys() or state.get("foundation", "") != self.recipe.foundation:
            raise InputError(
                f"{self.state_path} is of a run with other weights to start from or other parts to train; "
                "name another folder with --out, or remove this one"
            )
        self.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        for name, value in self.ema.items():
            value.copy_(state["ema"][name])
        self.step = int(state["step"])
        self.report(f"goes on from step {self.step}")

    def save(self) -> None:
        """Everything a resumed run needs, and the averaged weights; written aside, then renamed."""
        if not self.writes:
            return
        weights = self.model.state_dict()
        state = {
            "model": {name: weights[name] for name in self.ema},
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "foundation": self.recipe.foundation,
        }
        part = self.state_path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.state_path)
        self.recipe.export(self.ema, self.out / WEIGHTS_NAME, step=self.step)

    def run(self) -> None:
        """Train to the recipe's last step; may be killed at any time."""
        saved = time.monotonic()
        for step, batch in self.recipe.batches(start=self.step, stop=self.recipe.steps):
            begun = time.monotonic()
            figures = self._descend(step, batch)
            self.step = step + 1
            seconds = time.monotonic() - begun
            self._log(figures | self._close_epoch(), seconds=seconds)
            if time.monotonic() - saved > self.settings.save_every_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        if self.writes and (self.out / CURVES_NAME).exists():
            curves_to_csv(self.out / CURVES_NAME, self.out / TABLE_NAME)
        self.report(peak_memory())

    def _descend(self, step: int, batch: Any) -> dict[str, float]:
        """One optimiser step; the figures to log."""
        pace = self.recipe.prepare(step)
        for group in self.optimizer.param_groups:
            group["lr"] = pace.rate * group["factor"]
        result = self.recipe.result(step, batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(result.loss)
        learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        self.communicator.average_gradients(learning)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._average(pace.age)
        figures = self.communicator.average_figures(result.figures)
        return {**figures, "rate": pace.rate, "norm": float(norm)}

    @torch.no_grad()
    def _average(self, age: int) -> None:
        """The averaged weights follow the trained ones, closely when these are `age` = 0 steps old."""
        decay = min(self.settings.ema_decay, (1 + age) / (10 + age))
        weights = self.model.state_dict()
        for name, value in self.ema.items():
            value.lerp_(weights[name], 1 - decay)

    def _close_epoch(self) -> dict[str, float]:
        """Where an epoch ends: the averaged weights on the validation pictures, as a picture and in figures."""
        length = self.recipe.epoch_steps
        if length is None or self.step % length or not self.writes:
            return {}
        with self._averaged_weights():
            validation = self.recipe.validate()
        if validation is None:
            return {}
        path = self.out / VALIDATION_NAME / f"epoch-{self.step // length:04d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(validation.picture).save(path, quality=90)
        said = ", ".join(f"{name} {value:.3f}" for name, value in validation.figures.items())
        self.report(f"epoch {self.step // length}: {said}; {path}")
        return validation.figures

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The model with the averaged weights, for a while."""
        weights = self.model.state_dict()
        trained = {name: weights[name].clone() for name in self.ema}
        self.model.load_state_dict(self.ema, strict=False)
        try:
            yield
        finally:
            self.model.load_state_dict(trained, strict=False)

    def _log(self, figures: dict[str, float], *, seconds: float) -> None:
        """Nine digits are all that a float32 has, so that two runs can be compared to the last one."""
        record = {"step": self.step, "seconds": round(seconds, 2)} | {k: float(f"{v:.9g}") for k, v in figures.items()}
        if not self.writes:
            return
        append_curves(self.out / CURVES_NAME, record)
        if self.step % 20 == 0:
            self.report(json.dumps(record | {k: round(v, 5) for k, v in figures.items()}))


def _say_nothing(_: str) -> None:
    pass


def peak_memory() -> str:
    """In words: resident memory, and what torch held on the GPU if it used one."""
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    said = f"peak memory {resident / 1e9:.2f} GB"
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        said += f", on the GPU {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
    return said
