"""Data sets and predictions in the layout of DAVIS: ROOT/JPEGImages and ROOT/Annotations, each with the sequences.

The sequences are directly inside or under 480p/.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.label_maps import Frame, LabelMap, describe_size, image_size, read_frame, read_label_map
from persam_hq.io.text.natural_order import natural_sorted

FRAME_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
RESOLUTION = "480p"
"""Folder between JPEGImages and the sequences in the published DAVIS; other sets leave it out."""


@dataclass(frozen=True, slots=True, eq=False)
class DavisSequence:
    """One clip: a frame and an annotation per name, in order of name. Files are read when iterated over."""

    name: str
    frame_paths: tuple[Path, ...]
    annotation_paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        """Refuse a clip whose frames and annotations do not belong together."""
        framed, annotated = self.frame_names, tuple(path.stem for path in self.annotation_paths)
        if framed != annotated:
            # The first name that is missing on one side, or twice on one
            odd = [name for name, times in Counter(framed + annotated).items() if times != 2]
            msg = (
                f"sequence {self.name} has {len(framed)} frames and {len(annotated)} annotations, and {min(odd)} "
                "is not once among each: expected one annotation a frame; complete the folders or leave it out"
            )
            raise EvaluationError(msg)

    def __repr__(self) -> str:
        """Name and length."""
        return f"DavisSequence({self.name!r}, {len(self)} frames)"

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_paths)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """Names of the frames without suffix, such as 00000."""
        return tuple(path.stem for path in self.frame_paths)

    def frames(self) -> Iterator[Frame]:
        """Every frame, (H, W, 3) uint8 RGB."""
        return map(read_frame, self.frame_paths)

    def annotations(self) -> Iterator[LabelMap]:
        """Every annotation, (H, W) uint8, of the size of its frame."""
        return map(_read_annotation, self.annotation_paths, self.frame_paths)

    def first_mask(self) -> LabelMap:
        """The annotation of the first frame, which is what a method is given."""
        return _read_annotation(self.annotation_paths[0], self.frame_paths[0])


class DavisDataset:
    """The annotated sequences of a data set, by name."""

    def __init__(self, root: Path | str) -> None:
        """List the folders of ROOT only; a sequence is checked when it is asked for."""
        self.root = Path(root)
        self._frames = _sequences_folder(self.root, "JPEGImages")
        self._annotations = _sequences_folder(self.root, "Annotations")
        self.names = tuple(sorted(path.name for path in _folders(self._annotations)))
        if not self.names:
            msg = f"{self._annotations} holds no sequence: expected a folder of label PNGs for each; check ROOT"
            raise EvaluationError(msg)

    def __repr__(self) -> str:
        """Root and number of sequences."""
        return f"DavisDataset({str(self.root)!r}, {len(self.names)} sequences)"

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.names)

    def __iter__(self) -> Iterator[DavisSequence]:
        """Every sequence, in order of name."""
        return map(self.sequence, self.names)

    def sequence(self, name: str) -> DavisSequence:
        """The sequence of that name."""
        if name not in self.names:
            msg = f"no annotated sequence {name!r} in {self.root}: expected one of {', '.join(self.names)}"
            raise EvaluationError(msg)
        return DavisSequence(
            name=name,
            frame_paths=_files(self._frames / name, FRAME_SUFFIXES),
            annotation_paths=_files(self._annotations / name, {".png"}),
        )

    def select(self, names: Iterable[str] | None = None) -> list[DavisSequence]:
        """The named sequences in the order given, or all of them."""
        return [self.sequence(name) for name in (self.names if names is None else names)]


class PredictionFolder:
    """Label PNGs of a method, FOLDER/<sequence>/<frame's name>.png, the first frame included."""

    def __init__(self, folder: Path | str) -> None:
        """Remember the folder; files are looked for per sequence."""
        self.folder = Path(folder)

    def __call__(self, sequence: DavisSequence) -> Iterator[LabelMap]:
        """Every prediction of a sequence, (H, W) uint8; refused at once where a file is missing."""
        paths = [self.folder / sequence.name / f"{name}.png" for name in sequence.frame_names]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            msg = (
                f"{missing[0]} is missing ({len(missing)} of {len(paths)} predictions of {sequence.name} are): "
                "expected a label PNG for every frame, the first included; run the method on the whole sequence"
            )
            raise EvaluationError(msg)
        return map(read_label_map, paths)


def _read_annotation(path: Path, frame_path: Path) -> LabelMap:
    """The annotation of a frame; refused where it is of another size."""
    annotation, size = read_label_map(path), image_size(frame_path)
    if annotation.shape != size:
        msg = (
            f"{path} is {describe_size(annotation.shape)}: expected {describe_size(size)}, "
            f"the size of its frame {frame_path.name}; replace the annotation"
        )
        raise EvaluationError(msg)
    return annotation


def _sequences_folder(root: Path, kind: str) -> Path:
    """The folder that holds the sequences of JPEGImages or Annotations."""
    folder = root / kind
    if not folder.is_dir():
        msg = f"{root} has no folder {kind}: expected a ROOT that holds JPEGImages and Annotations; check the path"
        raise EvaluationError(msg)
    return folder / RESOLUTION if (folder / RESOLUTION).is_dir() else folder


def _folders(folder: Path) -> list[Path]:
    """Folders inside of a folder, in no order; hidden ones are left out."""
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _files(folder: Path, suffixes: Iterable[str]) -> tuple[Path, ...]:
    """Files of a folder with one of the suffixes, in natural order of name; at least one."""
    if not folder.is_dir():
        msg = f"{folder} is missing: expected the files of sequence {folder.name}; add them or leave the sequence out"
        raise EvaluationError(msg)
    found = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    paths = tuple(natural_sorted(found))
    if not paths:
        msg = f"{folder} is empty: expected {' or '.join(sorted(suffixes))} files; add them or leave the sequence out"
        raise EvaluationError(msg)
    return paths
