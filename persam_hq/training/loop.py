"""The training loop over any recipe: optimise, average, log, validate and save; a killed run goes on from its save."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from persam_hq.errors import InputError, error_line
from persam_hq.io.atomic import atomic_write, commit, open_part
from persam_hq.io.process_memory import peak_memory
from persam_hq.training.curves import append_curves, curves_to_csv, cut_curves
from persam_hq.training.distributed import Communicator, SingleWorker
from persam_hq.training.recipe import Recipe, Settings

Report = Callable[[str], None]
"""Takes one line of progress at a time."""
STATE_NAME, WEIGHTS_NAME, CURVES_NAME, TABLE_NAME = "state.pt", "ema.safetensors", "curves.jsonl", "curves.csv"
VALIDATION_NAME = "validation"
REPORT_EVERY: Final = 20
"""Steps from one reported line to the next; curves.jsonl has them all."""


class Training:
    """One run in a folder: `state.pt` to resume from, `ema.safetensors` to use, `curves.jsonl` and pictures to look at.

    `report` is given the progress, line by line. The batch and the random choices of each step depend on its number
    alone, so a run that was killed and resumes from its last save gives the same numbers as one that was not. Each of
    several workers has a Training of its own with the same weights; worker 0 writes.
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
        self.communicator = communicator or SingleWorker()
        self.writes = self.communicator.rank == 0
        self.report = report if self.writes else _ignore

        # First weights, or those of the run that is resumed
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
        """The file that a run resumes from."""
        return self.out / STATE_NAME

    def _make_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise InputError(f"cannot make the folder {self.out} for the run: {exc.strerror}") from exc

    def _resume(self) -> None:
        """Load weights, optimiser, averages and step of the last save; refuse those of another model or recipe."""
        state = self._read_state()
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

    def _read_state(self) -> Any:
        """What the last save wrote; InputError where the file is another."""
        try:
            state = torch.load(self.state_path, weights_only=True, map_location="cpu")
            if state.keys() >= {"model", "optimizer", "ema", "step"}:
                return state
        except Exception as exc:  # torch.load raises a dozen kinds, by what is wrong with the file
            raise InputError(
                f"cannot go on from {self.state_path}: {error_line(exc)[:200]}; name another folder with --out, or "
                "remove this one"
            ) from exc
        raise InputError(f"{self.state_path} is no state of a training; name another folder with --out")

    def save(self) -> None:
        """Write all that a resumed run needs, and the averaged weights; each file whole or not at all."""
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
        with open_part(self.state_path) as file:
            torch.save(state, file)
        commit(self.state_path)
        self.recipe.export(self.ema, self.out / WEIGHTS_NAME, step=self.step)

    def run(self) -> None:
        """Train to the recipe's last step, from the first one or the last save; may be killed at any time."""
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

        # The end of the run, also of one that was resumed at its last step
        self.save()
        if self.writes and (self.out / CURVES_NAME).exists():
            curves_to_csv(self.out / CURVES_NAME, self.out / TABLE_NAME)
        self.report(memory_report())

    def _descend(self, step: int, batch: Any) -> dict[str, float]:
        """One optimiser step; returns the figures to log."""
        # What learns in this step, and how fast
        pace = self.recipe.prepare(step)
        for group in self.optimizer.param_groups:
            group["lr"] = pace.rate * group["factor"]

        # Gradients, averaged over the workers before they are clipped, so that every worker steps alike
        result = self.recipe.result(step, batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(result.loss)
        learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        self.communicator.average_gradients(learning)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)

        # A gradient that overflowed is left out; its norm stays visible in the curves
        if torch.isfinite(norm):
            self.optimizer.step()
        self._average(pace.age)
        figures = self.communicator.average_figures(result.figures)
        return {**figures, "rate": pace.rate, "norm": float(norm)}

    @torch.no_grad()
    def _average(self, age: int) -> None:
        """Move the averaged weights towards the trained ones, which have been learning for `age` steps."""
        # Young weights are followed closely (decay 0.1 at first), as in TensorFlow's ExponentialMovingAverage
        decay = min(self.settings.ema_decay, (1 + age) / (10 + age))
        weights = self.model.state_dict()
        for name, value in self.ema.items():
            value.lerp_(weights[name], 1 - decay)

    def _close_epoch(self) -> dict[str, float]:
        """Validate the averaged weights where an epoch ends: writes the picture and returns the figures."""
        length = self.recipe.epoch_steps
        if length is None or self.step % length or not self.writes:
            return {}
        with self._averaged_weights():
            validation = self.recipe.validate()
        if validation is None:
            return {}

        path = self.out / VALIDATION_NAME / f"epoch-{self.step // length:04d}.jpg"
        picture = io.BytesIO()
        Image.fromarray(validation.picture).save(picture, format="JPEG", quality=90)
        atomic_write(path, picture.getvalue())
        summary = ", ".join(f"{name} {value:.3f}" for name, value in validation.figures.items())
        self.report(f"epoch {self.step // length}: {summary}; {path}")
        return validation.figures

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Give the model the averaged weights, and the trained ones back afterwards."""
        weights = self.model.state_dict()
        trained = {name: weights[name].clone() for name in self.ema}
        self.model.load_state_dict(self.ema, strict=False)
        try:
            yield
        finally:
            self.model.load_state_dict(trained, strict=False)

    def _log(self, figures: dict[str, float], *, seconds: float) -> None:
        """Append the figures of a step to the curves, and report some steps."""
        # Nine digits are all that a float32 has, so two runs can be compared to the last bit by their curves
        record = {"step": self.step, "seconds": round(seconds, 2)} | {k: float(f"{v:.9g}") for k, v in figures.items()}
        if not self.writes:
            return
        append_curves(self.out / CURVES_NAME, record)
        if self.step % REPORT_EVERY == 0:
            self.report(json.dumps(record | {k: round(v, 5) for k, v in figures.items()}))


def _ignore(_: str) -> None:
    """The report of workers other than the first."""


def memory_report() -> str:
    """The line that ends a run: peak resident memory, and what torch held on the GPU if it used one."""
    peak = peak_memory()
    line = "peak memory not counted by this system" if peak is None else f"peak memory {peak / 1e9:.2f} GB"
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        line += f", on the GPU {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
    return line
