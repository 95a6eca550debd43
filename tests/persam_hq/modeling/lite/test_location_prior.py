import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins.lite import fill

from persam_hq.errors import ShapeError
from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    PREVIOUS_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    DenseLocationPrior,
    PriorSources,
)
from persam_hq.modeling.lite.matching import MatchMemory, join_memories, read_out
from persam_hq.modeling.lite.ridge import RIDGE_KEYS, add_ridge_sums, ridge_sums, ridge_weights

B, K, M, G = 2, 5, 12, 4


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def memory(seed=1, m=M):
    return MatchMemory(
        keys=F.normalize(noise(seed, B, m, K), dim=-1),
        mask=torch.sigmoid(3 * noise(seed + 10, B, m)),
        positions=50 + 20 * noise(seed + 20, B, m, 2),
    )


@pytest.fixture
def prior():
    return DenseLocationPrior(hidden_dim=6, embed_dim=7, middle_dim=8).eval().requires_grad_(requires_grad=False)


KEYS = F.normalize(noise(2, B, K, G, G), dim=1)
POSITIONS = 50 + 20 * noise(3, B, G * G, 2)
SIDE = torch.tensor([80.0, 120.0])
PREVIOUS_MASK = torch.sigmoid(noise(4, B, 1, 2 * G, 2 * G))


def all_sources():
    return PriorSources(first=memory(), ridge=ridge_sums(memory()), previous=memory(5), previous_mask=PREVIOUS_MASK)


def test_every_channel_belongs_to_one_source():
    assert sorted(FIRST_CHANNELS + RIDGE_CHANNELS + PREVIOUS_CHANNELS) == list(range(PRIOR_CHANNELS))


def test_the_ridge_classifier_sees_the_leading_components_alone():
    wide = torch.randn(1, 30, RIDGE_KEYS + 8, generator=torch.Generator().manual_seed(2))
    mask, positions = (wide[..., 0] > 0).float(), torch.zeros(1, 30, 2)
    sums = ridge_sums(MatchMemory(keys=wide, mask=mask, positions=positions))
    assert sums.gram.shape == (1, RIDGE_KEYS + 1, RIDGE_KEYS + 1)
    other = torch.cat([wide[..., :RIDGE_KEYS], 9 * wide[..., RIDGE_KEYS:]], dim=-1)
    assert torch.equal(ridge_sums(MatchMemory(keys=other, mask=mask, positions=positions)).gram, sums.gram)
    prior = DenseLocationPrior(hidden_dim=4, embed_dim=4, middle_dim=4)
    sources, places = PriorSources(ridge=sums), torch.zeros(1, 25, 2)
    maps = [
        prior.channels(keys.transpose(1, 2)[..., :25].reshape(1, -1, 5, 5), places, torch.ones(1), sources)
        for keys in (wide, other)
    ]
    assert maps[0][:, 3].abs().max() > 0.5
    assert torch.equal(*maps)


def test_ridge_weights_solve_the_normal_equations():
    given, lam = memory(), 0.03
    weights = ridge_weights(ridge_sums(given), regularisation=torch.tensor(lam)).numpy()
    for row in range(B):
        x = np.hstack([given.keys[row].numpy(), np.ones((M, 1))])
        mask = given.mask[row].numpy().astype(np.float64)
        balance = mask / mask.sum() + (1 - mask) / (1 - mask).sum()
        # Ridge regression as least squares: sqrt(weight) on each row, sqrt(lambda) below
        rows = np.vstack([np.sqrt(balance)[:, None] * x, math.sqrt(lam) * np.eye(K + 1)])
        want = np.linalg.lstsq(rows, np.concatenate([np.sqrt(balance) * (2 * mask - 1), np.zeros(K + 1)]), rcond=None)[
            0
        ]
        assert np.allclose(weights[row], want, atol=1e-4)


def test_added_sums_are_those_of_a_weighted_problem_in_each_object():
    one, other, weight, lam = memory(), memory(5, m=7), torch.tensor([0.5, 3.0]), 0.03
    sums = add_ridge_sums(ridge_sums(one), ridge_sums(other), weight=weight)
    got = ridge_weights(sums, regularisation=torch.tensor(lam)).numpy()
    for row in range(B):
        rows, targets = [math.sqrt(lam) * np.eye(K + 1)], [np.zeros(K + 1)]
        for given, share in ((one, 1.0), (other, float(weight[row]))):
            x = np.hstack([given.keys[row].numpy(), np.ones((given.keys.shape[1], 1))])
            mask = given.mask[row].numpy().astype(np.float64)
            root = np.sqrt(share * (mask / mask.sum() + (1 - mask) / (1 - mask).sum()))
            rows.append(root[:, None] * x)
            targets.append(root * (2 * mask - 1))
        want, *_ = np.linalg.lstsq(np.vstack(rows), np.concatenate(targets), rcond=None)
        assert np.allclose(got[row], want, atol=1e-4)


def test_sums_of_no_weight_change_nothing_and_none_is_changed_in_place():
    sums, more = ridge_sums(memory()), ridge_sums(memory(5))
    before = sums.gram.clone(), sums.moment.clone()
    added = add_ridge_sums(sums, more, weight=torch.tensor([0.0, 2.0]))
    assert torch.equal(added.gram[0], sums.gram[0])
    assert torch.equal(added.moment[0], sums.moment[0])
    assert not torch.allclose(added.gram[1], sums.gram[1])
    assert torch.equal(sums.gram, before[0])
    assert torch.equal(sums.moment, before[1])


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all background", "all foreground"])
def test_a_ridge_of_one_class_stays_finite(value):
    given = memory()
    sums = ridge_sums(MatchMemory(keys=given.keys, mask=torch.full((B, M), value), positions=given.positions))
    assert torch.isfinite(ridge_weights(sums, regularisation=torch.tensor(0.02))).all()


def test_read_out_against_a_naive_loop():
    logits, mask = 4 * noise(6, B, 3, M), torch.sigmoid(noise(7, B, M))
    got = read_out(logits, mask)
    for b in range(B):
        for n in range(3):
            scores = [math.exp(value) for value in logits[b, n].tolist()]
            want = sum(s * m for s, m in zip(scores, mask[b].tolist(), strict=True)) / sum(scores)
            assert float(got[b, n]) == pytest.approx(want, abs=1e-5)


def test_the_first_frames_channels_against_the_formulas(prior):
    given = memory()
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(first=given)).flatten(2).numpy()
    temperature = math.exp(float(prior.log_temperature_first))
    for b in range(B):
        cosine = KEYS[b].flatten(1).numpy().T @ given.keys[b].numpy().T
        weights = np.exp(temperature * cosine)
        mask = given.mask[b].numpy()
        assert np.allclose(got[b, 0], 2 * (weights @ mask) / weights.sum(axis=1) - 1, atol=1e-4)
        assert np.allclose(got[b, 1], cosine[:, mask > 0.5].max(axis=1), atol=1e-4)
        assert np.allclose(got[b, 2], cosine[:, mask <= 0.5].max(axis=1), atol=1e-4)


def test_without_gradients_the_first_frames_channels_differ_by_the_rounding_of_directions_alone(prior):
    sources = PriorSources(first=memory())
    learning = prior.channels(KEYS, POSITIONS, SIDE, sources)[:, :3]
    with torch.no_grad():
        tracking = prior.channels(KEYS, POSITIONS, SIDE, sources)[:, :3]
    assert not torch.equal(learning, tracking)
    assert float((learning - tracking)[:, 1:].abs().max()) < 0.01
    assert float((learning - tracking)[:, :1].abs().max()) < 0.1


def test_without_gradients_the_previous_frames_channel_differs_by_the_rounding_of_directions_alone(prior):
    sources = PriorSources(previous=memory())
    learning = prior.channels(KEYS, POSITIONS, SIDE, sources)[:, 4]
    with torch.no_grad():
        tracking = prior.channels(KEYS, POSITIONS, SIDE, sources)[:, 4]
    assert not torch.equal(learning, tracking)
    assert float((learning - tracking).abs().max()) < 0.1


def test_a_memory_without_foreground_has_the_lowest_similarity_to_it(prior):
    given = memory()
    empty = MatchMemory(keys=given.keys, mask=torch.zeros(B, M), positions=given.positions)
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(first=empty))
    assert torch.allclose(got[:, 0], torch.tensor(-1.0))
    assert torch.equal(got[:, 1], torch.full((B, G, G), -1.0))


@pytest.mark.parametrize("prompted", [False, True])
def test_the_previous_frames_bias_is_a_gaussian_of_the_distance(prior, prompted):
    given = memory(5)
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(previous=given, prompted=prompted)).flatten(2)[:, 4]
    temperature = math.exp(float(prior.log_temperature_prompt if prompted else prior.log_temperature_previous))
    for b in range(B):
        reach = float(SIDE[b]) * math.exp(float(prior.log_reach))
        cosine = KEYS[b].flatten(1).T @ given.keys[b].T
        distance = (POSITIONS[b][:, None] - given.positions[b][None]).square().sum(dim=-1)
        weights = torch.softmax(temperature * cosine - distance / (2 * reach**2), dim=-1)
        assert torch.allclose(got[b], 2 * (weights @ given.mask[b]) - 1, atol=1e-4)


def test_the_ridge_channel_is_the_classifiers_score_clamped(prior):
    sums = ridge_sums(memory())
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(ridge=sums)).flatten(2)[:, 3]
    weights = ridge_weights(sums, regularisation=prior.log_ridge.exp())
    want = torch.einsum("bkn,bk->bn", KEYS.flatten(2), weights[:, :-1]) + weights[:, -1:]
    assert torch.allclose(got, want.clamp(-2, 2), atol=1e-5)


def test_sub_cells_of_the_previous_mask_become_channels(prior):
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(previous_mask=PREVIOUS_MASK))
    for index in range(4):
        assert torch.allclose(got[:, 8 + index], 2 * PREVIOUS_MASK[:, 0, index // 2 :: 2, index % 2 :: 2] - 1)


@pytest.mark.parametrize(
    ("left_out", "channels"),
    [
        ({"first": None}, FIRST_CHANNELS),
        ({"ridge": None}, RIDGE_CHANNELS),
        ({"previous": None, "previous_mask": None}, PREVIOUS_CHANNELS),
    ],
)
def test_a_missing_source_is_zero_and_so_is_its_flag(prior, left_out, channels):
    sources = all_sources()
    fields = {name: getattr(sources, name) for name in ("first", "ridge", "previous", "previous_mask")}
    full = prior.channels(KEYS, POSITIONS, SIDE, sources)
    got = prior.channels(KEYS, POSITIONS, SIDE, PriorSources(**fields | left_out))
    others = [channel for channel in range(PRIOR_CHANNELS) if channel not in channels]
    assert torch.equal(got[:, channels], torch.zeros(B, len(channels), G, G))
    assert torch.equal(got[:, others], full[:, others])
    assert torch.equal(full[:, [5, 6, 7]], torch.ones(B, 3, G, G))


def test_each_object_has_a_prior_of_its_own(prior):
    sources = all_sources()
    together = prior.channels(KEYS, POSITIONS, SIDE, sources)
    for b in range(B):
        one = slice(b, b + 1)

        def of(given, one=one):
            return MatchMemory(keys=given.keys[one], mask=given.mask[one], positions=given.positions[one])

        alone = PriorSources(
            first=of(sources.first),
            ridge=ridge_sums(of(memory())),
            previous=of(sources.previous),
            previous_mask=PREVIOUS_MASK[one],
        )
        assert torch.allclose(prior.channels(KEYS[one], POSITIONS[one], SIDE[one], alone), together[one], atol=1e-4)


def test_it_is_embedded_at_both_strides(prior):
    fill(prior)
    to_embedding, to_middle = prior(torch.zeros(B, PRIOR_CHANNELS, G, G))
    assert to_embedding.shape == (B, 7, G // 2, G // 2)
    assert to_middle.shape == (B, 8, G, G)


def test_memories_join_and_show_their_shapes():
    joined = join_memories(memory(1, m=3), memory(2, m=4))
    assert torch.equal(joined.mask[:, 3:], memory(2, m=4).mask)
    assert repr(joined) == "MatchMemory(keys=(2, 7, 5))"
    assert "RidgeSums(gram=(2, 6, 6))" in repr(PriorSources(ridge=ridge_sums(joined)))


def test_a_memory_of_parts_that_do_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"takes a mask \(2, 12\).* got \(2, 11\)"):
        MatchMemory(keys=memory().keys, mask=torch.zeros(B, M - 1), positions=memory().positions)
