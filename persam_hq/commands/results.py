"""What the commands that make masks leave in a folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES_NAME, SHEET_NAME = "scores.csv", "contact_sheet.jpg"
HELP = (
    "gets <IMAGE's stem>.png (pixel value = object, 0 = none), <stem>_overlay.jpg, and, when all images are done, "
    f"{SHEET_NAME} and {SCORES_NAME}"
)
BOX = ("x0", "y0", "x1", "y1")


class ResultFolder:
    """Masks and overlays as they come; the scores and the contact sheet, which say that all is there, in the end."""

    def __init__(self, folder: Path, *, columns: Sequence[str]) -> None:
        self._folder, self._columns = folder, columns
        self._rows: list[Mapping[str, object]] = []
        self._tiles: list[NDArray[np.uint8]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (SCORES_NAME, SHEET_NAME):
                (folder / name).unlink(missing_ok=True)  # of an earlier run
        except OSError as exc:
            raise InputError(f"cannot make the folder {folder}: {exc.strerror}; choose another --out") from exc

    def add(
        self,
        name: str,
        image: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        rows: Sequence[Mapping[str, object]],
    ) -> None:
        """An image (H, W, 3) RGB with its label map (H, W), and a row of scores an object; `name` may have a folder."""
        from persam_hq.image_files import overlaid, thumbnail, write_image, write_labels

        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = overlaid(image, labels)
        write_labels(path.with_name(f"{path.name}.png"), labels)
        write_image(path.with_name(f"{path.name}_overlay.jpg"), shown)
        self._tiles.append(thumbnail(shown))
        self._rows += rows

    def finish(self) -> None:
        """Write what says that all is there."""
        from persam_hq.image_files import contact_sheet, write_image

        write_image(self._folder / SHEET_NAME, contact_sheet(self._tiles))
        with (self._folder / SCORES_NAME).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


def box_of(mask: NDArray[np.bool_]) -> dict[str, int | str]:
    """First and last foreground column and row of (H, W) bool as columns of the scores; nothing where it is empty."""
    import numpy as np

    if not mask.any():
        return dict.fromkeys(BOX, "")
    (y0, *_, y1), (x0, *_, x1) = ([int(values.min()), int(values.max())] for values in np.nonzero(mask))
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
