"""The proof of `scripts/prove_training`: the HQ path leaves published weights alone and trains all of its own."""

import pytest
from proofs.training import prove


@pytest.mark.slow
def test_two_steps_of_vit_tiny(tmp_path):
    proof = prove("vit_tiny", tmp_path, steps=2, size=(192, 256))
    assert (proof.frozen, proof.frozen_changed) == (439, 0)
    assert (proof.hq, proof.hq_changed) == (25, 25)
    assert proof.losses[1] < 3


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_twenty_steps_of_vit_b(tmp_path):
    proof = prove("vit_b", tmp_path)
    assert (proof.frozen, proof.frozen_changed) == (314, 0)
    assert (proof.hq, proof.hq_changed) == (25, 25)
    assert proof.losses[1] < proof.losses[0]
