import pytest
import torch

from persam_hq.training.config.device import training_precision


@pytest.mark.parametrize(
    ("asked", "device", "native", "found"),
    [
        ("auto", "cpu", False, torch.float32),
        ("auto", "cpu", True, torch.bfloat16),
        ("auto", "cuda", False, torch.bfloat16),
        ("float32", "cuda", True, torch.float32),
        ("bfloat16", "cpu", False, torch.bfloat16),
    ],
)
def test_the_precision(monkeypatch, asked, device, native, found):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert training_precision(asked, torch.device(device)) is found
