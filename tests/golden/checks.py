"""Tolerances of golden values, by the last part of their key."""

import numpy as np


def within(limit):
    """Every element is at most `limit` from the reference."""

    def check(got, want):
        assert np.abs(got.astype(np.float64) - want).max() <= limit

    return check


def equal(got, want):
    assert np.array_equal(got, want)


def overlapping(got, want):
    """Packed masks with an intersection over union of at least 0.99."""
    got, want = np.unpackbits(got).astype(bool), np.unpackbits(want).astype(bool)
    assert (got & want).sum() >= 0.99 * (got | want).sum()


def same_area(got, want):
    """Masks with an intersection over union of 0.99 differ in area by one per cent at most."""
    assert np.abs(got - want).max() <= 0.01 * np.abs(want).max()


CHECKS = {
    "image_embeddings": within(1e-3),
    "image_embeddings_norm": within(1e-3),
    "interm_embeddings_0": within(1e-3),
    "interm_count": equal,
    "target_embedding": within(1e-3),
    "target_cells": equal,
    "ref_mask_grid": equal,
    "cosine_grid": within(1e-3),
    "attn_sim": within(1e-3),
    "points": within(4),
    "labels": equal,
    "logits": within(1e-2),
    "scores": within(1e-2),
    "mask_fraction": same_area,
    "step2_box": within(4),
    "final_index": equal,
    "final_mask_packed": overlapping,
    "final_mask_fraction": same_area,
    "shape": equal,
    "image": equal,
    "coords": within(1e-9),
} | {f"step{step}_{what}": within(1e-2) for step in range(3) for what in ("scores", "logits")}


def check(key, got, want):
    """Assert that `got` is the golden value `want` of that key, as nearly as the references' README asks."""
    assert got.shape == want.shape, key
    CHECKS[key.rsplit("/", 1)[-1]](got, want)
