#!/usr/bin/env python3
"""Peak memory of loading checkpoints (Linux): `scripts/benchmarks/checkpoint_loading.py [MODEL ...]`.

Files are written with made-up weights, and each is loaded in a process of its own. Pages of a mapped file count as
memory of the process once they are used, so the peak is printed after loading, after a decoder call that needs no
image encoder, and once every weight has been read.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
FILES = ("w.pth", "w.safetensors", "half.safetensors")
GOAL = 1.15  # peak memory in sizes of the tensors: a second copy would be 2, and buffers take some


def write_files(name: str, folder: Path) -> None:
    """The same weights in every format, and halved in one."""
    import torch
    from golden.fill_weights import tensor_for
    from safetensors.torch import save_file

    from persam_hq.build.sam import build_model

    with torch.device("meta"):
        expected = build_model(name, hq=True).state_dict()
    # Counters of batch norm have no dimension, the filled tensors at least one
    tensors = {key: tensor_for(key, tuple(value.shape)).reshape(value.shape) for key, value in expected.items()}
    torch.save(tensors, folder / FILES[0])
    save_file(tensors, folder / FILES[1])
    save_file({key: value.half() for key, value in tensors.items()}, folder / FILES[2])


def measure(name: str, path: Path) -> int:
    """Load the file, use it, and print the peaks; 1 if one is above the goal where nothing had to be converted."""
    import torch

    from persam_hq.build.sam import build_model

    # The baseline: a process that has computed, with the peak starting anew
    torch.set_num_threads(1)
    use_decoder(build_model("vit_tiny", hq=True))  # what torch allocates for itself when it first computes
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM

    # The peaks
    model = build_model(name, checkpoint=path)
    peaks = {"loaded": memory("VmHWM") - before}
    use_decoder(model)
    peaks["decoder used"] = memory("VmHWM") - before
    for value in model.state_dict().values():
        value.view(-1)[::256].sum()  # a value a page and more
    peaks["all read"] = memory("VmHWM") - before

    held = sum(value.nbytes for value in model.state_dict().values())
    shown = ", ".join(f"{what} {peak / 2**20:.0f} MiB ({peak / held:.2f})" for what, peak in peaks.items())
    print(f"{name} {path.name}: tensors {held / 2**20:.0f} MiB; peak above the baseline: {shown}", flush=True)
    return int(path.name != FILES[2] and max(peaks.values()) > GOAL * held)


def use_decoder(model: object) -> None:
    """Run the decoder on features in place of an image encoder's, small enough not to count."""
    import torch

    from persam_hq.modeling.sam import Sam

    assert isinstance(model, Sam)
    with torch.inference_mode():
        sparse, dense = model.prompt_encoder(points=None, boxes=torch.tensor([[10.0, 10, 90, 90]]), masks=None)
        model.mask_decoder(
            image_embeddings=torch.zeros(1, 256, 8, 8),
            image_pe=model.prompt_encoder.pe_layer((8, 8))[None],
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense[..., :8, :8],
        )


def memory(kind: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:"))


def main() -> int:
    """Measure each file in a process of its own, so that the peak is that file's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["vit_b", "vit_h"], metavar="MODEL", help="default: vit_b vit_h")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.file is not None:
        return measure(args.models[0], args.file)
    found = 0
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            write_files(name, Path(folder))
            for file in FILES:
                command = [sys.executable, __file__, name, "--file", str(Path(folder) / file)]
                found = max(found, subprocess.run(command, check=False).returncode)
    return found


if __name__ == "__main__":
    sys.exit(main())
