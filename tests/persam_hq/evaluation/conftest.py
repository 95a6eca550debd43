"""Slow oracles, written from the definitions alone, and small clips."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]
Oracle = Callable[[Array, Array], float]


def _contour(mask: Array) -> set[tuple[int, int]]:
    """Pixels that differ from one of the three neighbours right and below, of those inside the image."""
    height, width = mask.shape
    found = set()
    for y in range(height):
        for x in range(width):
            neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            inside = [(v, u) for v, u in neighbours if v < height and u < width]
            if any(bool(mask[y, x]) != bool(mask[v, u]) for v, u in inside):
                found.add((y, x))
    return found


def _share_near(contour: set[tuple[int, int]], other: set[tuple[int, int]], radius: int) -> float:
    near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in other) for y, x in contour]
    return sum(near) / len(contour)


def _slow_boundary(annotation: Array, segmentation: Array) -> float:
    height, width = annotation.shape
    radius = math.ceil(0.008 * math.sqrt(height**2 + width**2))
    truth, found = _contour(annotation), _contour(segmentation)
    if not truth and not found:
        return 1.0
    precision = 1.0 if not found else 0.0 if not truth else _share_near(found, truth, radius)
    recall = 1.0 if not truth else 0.0 if not found else _share_near(truth, found, radius)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _slow_region(annotation: Array, segmentation: Array) -> float:
    both = either = 0
    for a, b in zip(annotation.ravel().tolist(), segmentation.ravel().tolist(), strict=True):
        both += bool(a) and bool(b)
        either += bool(a) or bool(b)
    return both / either if either else 1.0


@pytest.fixture(scope="session")
def slow_boundary() -> Oracle:
    """F from distances between all pairs of contour pixels."""
    return _slow_boundary


@pytest.fixture(scope="session")
def slow_region() -> Oracle:
    """J by counting."""
    return _slow_region


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(7)


@pytest.fixture
def draw_blobs() -> Callable[..., Array]:
    """Rectangles with noisy rims that may touch the image border."""

    def draw(rng: np.random.Generator, *, height: int, width: int, blobs: int = 2) -> Array:
        mask = np.zeros((height, width), np.uint8)
        for _ in range(blobs):
            y, x = rng.integers(0, height), rng.integers(0, width)
            mask[y : y + rng.integers(1, height + 1), x : x + rng.integers(1, width + 1)] = 1
        flips = rng.random(mask.shape) < 0.02
        return mask ^ flips.astype(np.uint8)

    return draw


class Layout:
    """Writes a data set in the layout of DAVIS."""

    def __init__(self, root: Path, *, under: str = "") -> None:
        self.root, self.under = root, under

    def add(self, name: str, labels: list[Array], *, palette: bool = True) -> None:
        """A sequence: grey frames of the size of the labels."""
        for index, label in enumerate(labels):
            self.write_frame(name, f"{index:05d}.jpg", np.full((*label.shape, 3), index, np.uint8))
            self.write_label(self.annotations / name / f"{index:05d}.png", label, palette=palette)

    @property
    def frames(self) -> Path:
        """Where the sequences of frames are."""
        return self.root / "JPEGImages" / self.under

    @property
    def annotations(self) -> Path:
        """Where the sequences of annotations are."""
        return self.root / "Annotations" / self.under

    def write_frame(self, name: str, file: str, pixels: Array) -> None:
        """One image."""
        path = self.frames / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def write_label(self, path: Path, label: Array, *, palette: bool = True) -> None:
        """One label map, as palette or grey PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(label)
        if palette:
            image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [9] * 759)
        image.save(path)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty data set with sequences directly inside."""
    return Layout(tmp_path / "davis")


@pytest.fixture
def layout_480p(tmp_path: Path) -> Layout:
    """An empty data set with sequences under 480p."""
    return Layout(tmp_path / "davis480", under="480p")
