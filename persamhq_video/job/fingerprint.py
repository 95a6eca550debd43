"""The numeric fingerprint: what the bits of a result depend on beside its inputs. Device and dtype are decided here.

It is measured where the job is made and again by every worker; a worker with another one is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict

from persam_hq.io.atomic import sha256_of
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError

__all__ = ["Fingerprint", "measure_fingerprint", "resolve_numerics"]

Device = Literal["cpu", "cuda", "mps"]
Dtype = Literal["float32", "bfloat16", "float16"]


class Fingerprint(BaseModel):
    """Two workers with the same fingerprint give the same bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str
    torch_version: str
    device: Device
    capability: str
    dtype: Dtype
    compile: bool
    math_threads: int
    encode_batch: int

    def differences(self, other: Fingerprint) -> str:
        """The fields that differ, as `name: ours, theirs`; empty where none does."""
        ours, theirs = self.model_dump(), other.model_dump()
        return "; ".join(f"{name}: {ours[name]}, {theirs[name]}" for name in ours if ours[name] != theirs[name])


def resolve_numerics(config: RunConfig) -> RunConfig:
    """Decide device and dtype once, by what this machine can do and never by timing."""
    device = _resolve_device(config)
    dtype = _natural_dtype(device) if config.dtype == "auto" else config.dtype
    return config.model_copy(update={"device": device, "dtype": dtype})


def measure_fingerprint(config: RunConfig, weights: Path) -> Fingerprint:
    """The fingerprint of this process for a configuration whose device and dtype are decided."""
    # Weights and torch are as they are here; the rest is as the configuration asks for
    assert config.device != "auto" and config.dtype != "auto", "resolve_numerics comes first"  # noqa: PT018 - one fact
    return Fingerprint(
        weights_sha256=sha256_of(weights),
        torch_version=torch.__version__,
        device=config.device,
        capability=_capability(config.device),
        dtype=config.dtype,
        compile=False,
        math_threads=config.threads_per_worker,
        encode_batch=config.encode_batch,
    )


def _resolve_device(config: RunConfig) -> Device:
    available: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if config.device == "auto":
        return next(device for device, there in available.items() if there)
    if not available[config.device]:
        usable = ", ".join(device for device, there in available.items() if there)
        raise ConfigError(f"the device {config.device} is not available here; usable: {usable}")
    return config.device


def _natural_dtype(device: Device) -> Dtype:
    """The dtype that the device multiplies natively and that loses nothing of the masks' quality."""
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device == "cpu" and _native_bfloat16():
        return "bfloat16"
    return "float32"


def _native_bfloat16() -> bool:
    # torch has no public names for these
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001


def _capability(device: Device) -> str:
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    if device == "cpu":
        # get_cpu_capability does not tell of these two, and they change how bfloat16 is summed
        amx = "+amx" if torch.cpu._is_amx_tile_supported() else ""  # noqa: SLF001 - torch has no public name for it
        bf16 = "+bf16" if torch.cpu._is_avx512_bf16_supported() else ""  # noqa: SLF001 - as above
        return f"{torch.backends.cpu.get_cpu_capability()}{amx}{bf16}"
    return "mps"
