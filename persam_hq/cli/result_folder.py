"""The folder of results of `segment` and `personalize`: masks, overlays, scores and a contact sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.errors import InputError, OutputError
from persam_hq.io.atomic import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES_NAME, SHEET_NAME = "scores.csv", "contact_sheet.jpg"
"""Files that are written when all images are done."""
HELP = (
    "gets <IMAGE's stem>.png (pixel value = object, 0 = none), <stem>_overlay.jpg, and, when all images are done, "
    f"{SHEET_NAME} and {SCORES_NAME}"
)
BOX = ("x0", "y0", "x1", "y1")


class ResultFolder:
    """Writes masks and overlays image by image, and in the end the scores and the contact sheet.

    So a folder with scores is complete.
    """

    def __init__(
        self, folder: Path, *, columns: Sequence[str], names: Iterable[str] = (), inputs: Iterable[Path] = ()
    ) -> None:
        """Refuse a folder where masks called `names` would replace `inputs` or files of a user, and make it."""
        self._folder, self._columns = folder, columns
        self._rows: list[Mapping[str, object]] = []
        self._tiles: list[NDArray[np.uint8]] = []
        self._refuse_to_replace(names, inputs)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (SCORES_NAME, SHEET_NAME):
                # Those of an earlier run would say that this one is done
                (folder / name).unlink(missing_ok=True)
        except OSError as exc:
            raise InputError(f"cannot make the folder {folder}: {exc.strerror}; choose another --out") from exc

    def add(
        self,
        name: str,
        image: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        rows: Sequence[Mapping[str, object]],
    ) -> None:
        """Write the label map (H, W) of an image (H, W, 3) RGB; `rows` are the scores, one per object.

        `name` is without suffix and may have a folder.
        """
        from persam_hq.io.images import overlaid, thumbnail, write_image, write_labels

        mask, overlay = self._files(name)
        shown = overlaid(image, labels)
        with self._writing():
            mask.parent.mkdir(parents=True, exist_ok=True)
            write_image(overlay, shown)
            write_labels(mask, labels)
        self._tiles.append(thumbnail(shown))
        self._rows += rows

    def finish(self) -> None:
        """Write the contact sheet and the scores, once all images are done."""
        from persam_hq.io.images import contact_sheet, write_image

        with self._writing():
            write_image(self._folder / SHEET_NAME, contact_sheet(self._tiles))
            table = io.StringIO(newline="")
            writer = csv.DictWriter(table, self._columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
            # Names of files need not be UTF-8
            atomic_write(self._folder / SCORES_NAME, table.getvalue().encode(errors="backslashreplace"))

    def _files(self, name: str) -> tuple[Path, Path]:
        """The files of a mask and its overlay. The overlay is written first, so a mask without one is not of a run."""
        path = self._folder / name
        return path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}_overlay.jpg")

    def _refuse_to_replace(self, names: Iterable[str], inputs: Iterable[Path]) -> None:
        """Raise InputError where a result would replace an input, or a file that no run wrote."""
        pairs = [self._files(name) for name in names]
        written = {path.resolve() for pair in pairs for path in pair}
        for path in inputs:
            if path.resolve() in written:
                raise InputError(f"{path} is read, and a result of that name would replace it; choose another --out")

        # Results of an earlier run are replaced, a user's own files are not
        scores = self._folder / SCORES_NAME
        foreign = [mask for mask, overlay in pairs if mask.exists() and not overlay.exists()]
        foreign += [scores] if scores.exists() and not _is_ours(scores) else []
        if foreign:
            raise InputError(f"{foreign[0]} is there and no run wrote it; choose another --out")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What goes wrong with the disk is an OutputError that names the folder."""
        try:
            yield
        except OSError as exc:
            why = f"{exc.strerror or exc}; see to the folder and the space on the disk"
            raise OutputError(f"cannot write to {self._folder}: {why}") from exc


def _is_ours(scores: Path) -> bool:
    """Whether a table begins as those of `segment` and `personalize` do."""
    try:
        with scores.open(encoding="utf-8", errors="replace") as file:
            return file.readline().startswith("image")
    except OSError:
        return False


def box_of(mask: NDArray[np.bool_]) -> dict[str, int | str]:
    """First and last foreground column and row of (H, W) bool as columns of the scores; nothing where it is empty."""
    from persam_hq.mask_boxes import inclusive_box_of_array

    return dict(zip(BOX, inclusive_box_of_array(mask) or ("",) * len(BOX), strict=True))
