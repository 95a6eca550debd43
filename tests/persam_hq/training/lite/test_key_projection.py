import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from stand_ins.lite import KEY, LEARNED, tiny_lite

from persam_hq.build.lite import build_lite, load_lite
from persam_hq.cli.main import main
from persam_hq.errors import CheckpointError
from persam_hq.modeling.lite.image_encoder import IntermLevel
from persam_hq.training.lite.key_projection import (
    FIRST_TEMPERATURE,
    PREVIOUS_TEMPERATURE,
    PROMPT_TEMPERATURE,
    fit_key_projection,
)


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (128, 160, 3), dtype=np.uint8) for _ in range(3)]


def parts_of(model, image):
    """What is projected, beside each other at stride 8: (1, C, h, w)."""
    projection = model.image_encoder.key_projection
    caught = []
    handle = projection.register_forward_pre_hook(lambda module, given: caught.append(module.parts(*given)))
    with torch.no_grad():
        pixels, _ = model.prepare(image)
        _, interm, _ = model.encode(pixels, with_hq=False)
    handle.remove()
    size = caught[0][0].shape[-2:]
    maps = [F.interpolate(part, size=size, mode="bilinear", align_corners=False) for part in caught[0]]
    return torch.cat(maps, dim=1), interm[IntermLevel.KEYS].permute(0, 3, 1, 2)


def inner_products(maps):
    cells = maps[0].flatten(1).T
    return cells @ cells.T


def test_it_keeps_inner_products_as_well_as_any_projection_does(images):
    model = tiny_lite(hq=False)
    fit_key_projection(model, images[:1])
    parts, keys = parts_of(model, images[0])
    wanted = inner_products(parts)
    # Eckart and Young: what is lost is what the eigenvalues beyond the first KEY add up to
    values = torch.linalg.eigvalsh(wanted.double())
    lost = (inner_products(keys) - wanted).norm().item()
    # Strides 16 and 32 are doubled after the projection here, in one step there: the same but along the edges
    assert lost == pytest.approx(values[:-KEY].norm().item(), abs=0.05 * wanted.norm().item())
    assert lost < 0.5 * (wanted - wanted.mean()).norm().item()


def test_parts_have_the_same_say():
    model = tiny_lite(hq=False)
    parts = model.image_encoder.key_projection.parts(
        torch.randn(1, LEARNED, 4, 4),
        (100 * torch.randn(1, 6, 8, 8), torch.randn(1, 10, 2, 2), torch.randn(1, 12, 1, 1)),
    )
    for part in parts:
        assert torch.allclose(part.norm(dim=1), torch.ones_like(part[:, 0]), atol=1e-5)


def test_the_command_fits_older_weights_and_leaves_the_rest(tmp_path, images):
    for index, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), image)
    fitted = (".key_projection.", ".log_temperature_prompt")
    old = {
        name: value.half()
        for name, value in build_lite().state_dict().items()
        if not any(part in name for part in fitted)
    }
    first, out = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    save_file(old, first)
    with pytest.raises(CheckpointError, match=r"old.safetensors is older than lite's fitted keys; .* fit-keys"):
        load_lite(build_lite(), first)
    command = ["checkpoints", "fit-keys", str(first), "--photos", str(tmp_path), "--count", "2", "--out", str(out)]
    assert main(command) == 0
    new = load_file(out)
    prompt = "location_prior.log_temperature_prompt"
    assert {name for name in new if name not in old} == {
        prompt,
        *(f"image_encoder.key_projection.{part}.weight" for part in ("from_learned", "from4", "from16", "from32")),
    }
    assert new[prompt].exp().item() == pytest.approx(PROMPT_TEMPERATURE, rel=1e-2)
    changed = [name for name, value in old.items() if not torch.equal(value, new[name])]
    assert sorted(changed) == ["location_prior.log_temperature_first", "location_prior.log_temperature_previous"]
    temperatures = [new[name].exp().item() for name in sorted(changed)]
    assert temperatures == pytest.approx([FIRST_TEMPERATURE, PREVIOUS_TEMPERATURE], rel=1e-2)
    again = tmp_path / "again.safetensors"
    assert main([*command[:2], str(out), *command[3:-1], str(again)]) == 0
    assert all(torch.equal(value, load_file(again)[name]) for name, value in new.items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--photos", "{folder}/none"], "no photos in"),
        (["--photos", "{folder}", "--count", "0"], "got 0 photos a folder; expected at least 1"),
    ],
)
def test_what_cannot_be_fitted_is_said(tmp_path, capsys, options, said):
    out = tmp_path / "out.safetensors"
    given = [option.format(folder=tmp_path) for option in options]
    assert main(["checkpoints", "fit-keys", str(tmp_path / "old"), *given, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_weights_that_cannot_be_written_are_one_line(tmp_path, images, capsys):
    cv2.imwrite(str(tmp_path / "photo.jpg"), images[0])
    weights, out = tmp_path / "weights.safetensors", tmp_path / "no folder" / "out.safetensors"
    save_file({name: value.half().contiguous() for name, value in build_lite().state_dict().items()}, weights)
    command = ["checkpoints", "fit-keys", str(weights), "--photos", str(tmp_path), "--out", str(out)]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(f"persam-hq: error: cannot write {out}: ")
    assert not out.parent.exists()
