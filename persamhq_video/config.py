"""The configuration of a run, parsed once: defaults, then a YAML file, then the flags of the command line.

`RunConfig` is the one place where options are declared; everything after it reads typed fields.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_serializer,
    model_validator,
)

from persam_hq.errors import did_you_mean, one_line, shown
from persam_hq.io.limits import HIGHEST_MAX_PIXELS, MAX_PIXELS
from persam_hq.io.paths import expand_home
from persam_hq.io.text.option_files import MAX_OPTION_BYTES, parse_yaml, read_small_text
from persamhq_video.errors import ConfigError

__all__ = [
    "MAX_WORKERS",
    "NEUTRAL_OPTIONS",
    "OUTPUT_NAMES",
    "PER_VIDEO_OPTIONS",
    "PRESETS",
    "ModelName",
    "Preset",
    "RunConfig",
    "StrategyChoice",
    "load_config",
    "make_config",
]

ModelName = Literal["lite", "vit_tiny", "vit_b", "vit_l", "vit_h"]
ModeName = Literal["auto", "chained", "independent"]
PartName = Literal[
    "first-matching",
    "previous-frame",
    "ridge",
    "ridge-updates",
    "memory-frames",
    "motion",
    "second-look",
    "choice",
    "hq-agreement",
    "presence",
    "search",
]
"""The parts of lite's tracker (`persam_hq.options.TrackerPart`, not imported here for the sake of --help)."""
DecoderName = Literal["auto", "hq", "sam"]
DetailName = Literal["normal", "fine"]
ExecutorName = Literal["auto", "inline", "ray"]
ReaderName = Literal["pyav", "decord"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
MatteCodecName = Literal["h264", "ffv1", "prores"]
PlaceName = Literal["driver", "workers"]
NumberingName = Literal["output", "source"]
OUTPUT_NAMES: Final = ("masks", "mask-video", "mattes", "overlay", "scores")
"""The result sinks of a run by default; plugins may offer more (see `persamhq_video.protocols.result_sink`)."""

NEUTRAL_OPTIONS: Final = frozenset(
    {
        "address",
        "call_timeout",
        "connect_timeout",
        "decode",
        "executor",
        "feature_budget",
        "gpus_per_worker",
        "max_pixels",
        "no_resume",
        "overwrite",
        "workers",
    }
)
"""Options that no result depends on: two runs that differ in them alone are the same run."""

_PACKAGE: Final = Path(__file__).parent
# A wheel holds configs/run inside the package; a clone has it beside the package.
_SHIPPED_CONFIGS: Final = (_PACKAGE / "configs" / "run", _PACKAGE.parent / "configs" / "run")

_MAX_FRAMES: Final = 2**31 - 1
"""Of `start`, `end` and `stride`: two years of video, and what decoders and containers count with."""
MAX_WORKERS: Final = 1024
"""Of a cluster; what one machine takes is checked where its cores are known (`persamhq_video.job.machine_limits`)."""
_MAX_THREADS: Final = 256
"""Math threads of a worker, as many as the largest sockets have cores. OpenMP ends the process where a system refuses
it a thread, which begins at some thousands."""
_MAX_GPUS: Final = 64
"""GPUs of one worker, which uses one: more than any machine has."""
_MAX_BYTES: Final = 2**50
"""Of a size: a PiB, more than any machine has; beyond 64 bits, numbers do not reach the allocators."""

PER_VIDEO_OPTIONS: Final = ("start", "end", "stride", "source", "reader", "outputs", "matte_codec")
"""Options that may differ from video to video of one job: no worker needs another model for them."""


_COMMA: Final = re.compile(r",(?![^\[]*\])")
"""A comma that is not inside brackets: these hold lists."""


class StrategyChoice(BaseModel):
    """A strategy by name, and the options it is made with.

    Read from text, or from a mapping of the name to its options; written as the shorter of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, str):
            return _parse(value)
        if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
            ((name, options),) = value.items()
            return {"name": name, "options": {} if options is None else options}
        return value

    @model_serializer
    def _write(self) -> str | dict[str, Any]:
        return {self.name: dict(self.options)} if self.options else self.name

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


def _parse(text: str) -> dict[str, Any]:
    name, _, rest = text.partition(":")
    options = {}
    for part in _COMMA.split(rest) if rest else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{shown(part.strip())} is no option; expected NAME:OPTION=VALUE,OPTION=VALUE")
        try:
            options[key.strip()] = parse_yaml(value)
        except ValueError as exc:
            raise ValueError(f"the value of {shown(part.strip())} cannot be read: {exc}") from exc
    return {"name": name.strip(), "options": options}


@dataclass(frozen=True, slots=True)
class Preset:
    """The strategies that a mode brings along where the configuration names none."""

    prompts: StrategyChoice
    refine: tuple[StrategyChoice, ...]

    @classmethod
    def of(cls, prompts: str, *refine: str) -> Preset:
        """By name, each with its defaults."""
        return cls(StrategyChoice(name=prompts), tuple(StrategyChoice(name=name) for name in refine))


PRESETS: Final[Mapping[ModeName, Preset]] = {
    "auto": Preset.of("persam_video", "cascade"),
    "chained": Preset.of("persam_video", "cascade"),
    "independent": Preset.of("top_k_points", "cascade"),
}

LITE_AUTO: Final = Preset.of("dense_prior", "drop_specks")
"""The preset of `auto` for lite, whose dense location prior needs neither points nor further passes."""


def _none_means_empty(names: object) -> object:
    """`none` alone means no refiner at all."""
    return () if names in (["none"], ("none",)) else names


def _home_path(path: Path) -> Path:
    """A path with `~` as the home folder; a zero byte, which YAML can spell, is in no path."""
    if "\0" in str(path):
        raise ValueError("a path holds no zero byte")
    return Path(expand_home(str(path)))


_HomePath = Annotated[Path, AfterValidator(_home_path)]


_Seconds = Annotated[
    float, PlainSerializer(lambda value: value if isfinite(value) else str(value), return_type=Any, when_used="json")
]
"""Seconds; `inf` for no limit, which JSON has no number for."""


class RunConfig(BaseModel):
    """The options of a run; the keys of the YAML files are these names, as are the flags with dashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The model and its weights: a file or the name of a download; None takes the embedded ones of lite
    model: ModelName = "lite"
    checkpoint: _HomePath | None = None

    # The tracker: whether state flows, the strategies (None: the mode's preset), PerSAM-F's weights from a file, and
    # what is left out or done as published
    mode: ModeName = "auto"
    prompts: StrategyChoice | None = None
    refine: Annotated[tuple[StrategyChoice, ...] | None, BeforeValidator(_none_means_empty)] = None
    plugins: tuple[str, ...] = ()
    blocked_plugins: tuple[str, ...] = ()
    mask_weights: _HomePath | None = None
    no_guidance: bool = False
    published: bool = False
    without: tuple[PartName, ...] = ()
    decoder: DecoderName = "auto"
    keep_interm: bool = False
    detail: DetailName = "normal"

    # The frames: start, end (not included) and stride count frames of the source; the source and the reader by name;
    # frames of more pixels than the limit are refused before memory is taken for them
    start: int = Field(default=0, ge=0, le=_MAX_FRAMES)
    end: int | None = Field(default=None, ge=1, le=_MAX_FRAMES)
    stride: int = Field(default=1, ge=1, le=_MAX_FRAMES)
    source: str | None = None
    reader: ReaderName = "pyav"
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=HIGHEST_MAX_PIXELS)

    # How the work is spread, on which no result depends: workers (None: from GPUs or cores), a Ray cluster, GPUs and
    # bytes of features per worker, seconds after which a call counts as hanging, seconds within which a cluster has to
    # answer (its own health check takes 2; Ray tries for 14 minutes), and where frames are decoded
    executor: ExecutorName = "auto"
    workers: int | None = Field(default=None, ge=1, le=MAX_WORKERS)
    address: str | None = None
    gpus_per_worker: float | None = Field(default=None, ge=0, le=_MAX_GPUS, allow_inf_nan=False)
    feature_budget: Annotated[ByteSize, Field(gt=0, le=_MAX_BYTES)] | None = None
    call_timeout: _Seconds = Field(default=600.0, gt=0)
    connect_timeout: float = Field(default=30.0, gt=0, le=threading.TIMEOUT_MAX, allow_inf_nan=False)
    decode: PlaceName = "driver"

    # The numbers, which the fingerprint repeats: math threads change how sums are split, and bfloat16 attention gives
    # other bits in a batch, so one frame is encoded at a time
    threads_per_worker: int = Field(default=1, ge=1, le=_MAX_THREADS)
    encode_batch: int = Field(default=1, ge=1, le=1)
    device: DeviceName = "auto"
    dtype: DtypeName = "auto"

    # The files, and what is done with a run that is in the folder already
    outputs: tuple[str, ...] = OUTPUT_NAMES
    matte_codec: MatteCodecName = "h264"
    number_frames_by: NumberingName = "output"
    overwrite: bool = False
    no_resume: bool = False

    @property
    def strategies(self) -> Preset:
        """The strategies: what is configured, and the mode's preset for the rest."""
        is_lite_auto = (self.model, self.mode, self.published) == ("lite", "auto", False)
        preset = LITE_AUTO if is_lite_auto else PRESETS[self.mode]
        prompts = preset.prompts if self.prompts is None else self.prompts
        return Preset(prompts=prompts, refine=preset.refine if self.refine is None else self.refine)

    @property
    def uses_hq(self) -> bool:
        """Whether the HQ-Output token has a say; by default not for lite, whose HQ parts add next to nothing yet."""
        return self.decoder == "hq" or (self.decoder == "auto" and self.model != "lite")

    def for_video(self, options: Mapping[str, Any]) -> RunConfig:
        """The same configuration for a video with options of its own (see PER_VIDEO_OPTIONS)."""
        return make_config({**self.model_dump(), **options}) if options else self


def make_config(options: Mapping[str, Any]) -> RunConfig:
    """Check options by name; a wrong one is a ConfigError in one line."""
    try:
        return RunConfig.model_validate(dict(options))
    except ValidationError as exc:
        raise ConfigError(_one_line(exc)) from exc


def load_config(path: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """The options of a YAML file (or of a shipped configuration, by name), if there is one, and `flags` over them."""
    from_file = {} if path is None else _read_yaml(_named_file(path))
    return make_config({**from_file, **flags})


def _named_file(path: Path) -> Path:
    """The file to read: `path` itself, or the configuration that comes along under that name, such as `steady`."""
    # A file of the user's own wins; with a folder or a suffix it can only be a file.
    if path.exists() or len(path.parts) != 1 or path.suffix:
        return path
    known = {file.stem: file for folder in _SHIPPED_CONFIGS for file in sorted(folder.glob("*.yaml"))}
    if path.name not in known:
        hint = did_you_mean(path.name, known)
        raise ConfigError(f"no file and no configuration is named {path.name!r}{hint}; known: {', '.join(known)}")
    return known[path.name]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = read_small_text(path, most=MAX_OPTION_BYTES)
    except OSError as exc:
        raise ConfigError(f"cannot read the configuration {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"the configuration {path} is not a text file") from exc
    except ValueError as exc:
        raise ConfigError(f"cannot read the configuration {path}: {exc}") from exc
    try:
        content = parse_yaml(text)
    except ValueError as exc:
        raise ConfigError(f"the configuration {path} is not YAML: {one_line(exc)}") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"the configuration {path} holds a {type(content).__name__}; expected `key: value` lines")
    return {str(key): value for key, value in content.items()}


def _one_line(error: ValidationError) -> str:
    """The first error of pydantic as one line: the option, what was got, what was expected."""
    first = error.errors(include_url=False)[0]
    option = str(first["loc"][0]) if first["loc"] else "options"
    if first["type"] == "extra_forbidden":
        known = sorted(RunConfig.model_fields)
        return (
            f"unknown option {shown(option)}{did_you_mean(option, RunConfig.model_fields)}; known: {', '.join(known)}"
        )
    message = first["msg"]
    return f"option {option}: got {shown(first['input'])}; {message[:1].lower()}{message[1:]}"
