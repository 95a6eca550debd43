import pytest
import torch
import torch.nn.functional as F

from persam_hq.modeling.lite.matching import MatchMemory, directions
from persam_hq.modeling.lite.ridge import RidgeSums, ridge_sums
from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.reference import LiteReference

K, CELLS, DIM = 2, 4, 3
CONFIG = LiteConfig()
SLOTS, INTERVAL, RIDGE_RATE = CONFIG.appearance_slots, CONFIG.appearance_interval, CONFIG.ridge_rate


def seen(seed):
    generator = torch.Generator().manual_seed(seed)
    return MatchMemory(
        keys=F.normalize(torch.randn(K, CELLS, DIM, generator=generator), dim=2),
        mask=torch.rand(K, CELLS, generator=generator),
        positions=torch.zeros(K, CELLS, 2),
    )


def learn(frames, *, confident=(True, True)):
    appearance = Appearance.empty(K, cells=CELLS, key_dim=DIM, slots=SLOTS)
    for frame in frames:
        appearance = appearance.learn(seen(frame), torch.tensor(confident), CONFIG)
    return appearance


def test_at_first_nothing_is_known():
    empty = Appearance.empty(K, cells=CELLS, key_dim=DIM, slots=SLOTS)
    first = seen(0)
    sums = ridge_sums(first)
    reference = LiteReference(first=first, ridge=sums, targets=torch.zeros(K, 1))
    joined = reference.extended(examples=empty.examples).first
    assert joined.keys.shape == (K, CELLS + SLOTS * CELLS, DIM)
    assert torch.equal(joined.keys[:, :CELLS], first.keys)
    assert joined.keys[:, CELLS:].abs().max() == 0
    assert torch.equal(reference.extended(sums=empty.ridge).ridge.gram, sums.gram)
    assert "Appearance(keys=(2, 2, 4, 3)" in repr(empty)


def test_slots_are_filled_at_intervals_and_the_oldest_goes():
    frames = list(range(2 * INTERVAL + 1))
    appearance = learn(frames)
    assert appearance.filled.tolist() == [3, 3]
    assert torch.allclose(directions(appearance.keys[:, 0], dim=-1), seen(2 * INTERVAL).keys, atol=1e-2)
    assert torch.allclose(directions(appearance.keys[:, 1], dim=-1), seen(INTERVAL).keys, atol=1e-2)
    assert torch.allclose(appearance.mask[:, 1].float(), seen(INTERVAL).mask, atol=1e-3)
    assert learn(frames[:INTERVAL]).filled.tolist() == [1, 1]


def test_only_confident_objects_learn():
    appearance = learn([5], confident=(True, False))
    assert appearance.filled.tolist() == [1, 0]
    assert appearance.keys[1].abs().max() == 0
    assert appearance.ridge.gram[1].abs().max() == 0
    assert appearance.ridge.gram[0].abs().max() > 0
    assert appearance.waited.tolist() == [0, 1]


@pytest.mark.parametrize("frames", [1, 4])
def test_the_classifiers_sums_are_a_running_mean(frames):
    appearance = learn([7] * frames)
    share = 1 - (1 - RIDGE_RATE) ** frames
    assert torch.allclose(appearance.ridge.gram, share * ridge_sums(seen(7)).gram, atol=1e-5)
    first = RidgeSums(gram=torch.eye(DIM + 1).expand(K, -1, -1), moment=torch.ones(K, DIM + 1))
    total = LiteReference(first=seen(0), ridge=first, targets=torch.zeros(K, 1)).extended(sums=appearance.ridge).ridge
    assert torch.allclose(total.moment, 1 + share * ridge_sums(seen(7)).moment, atol=1e-5)


def test_learning_leaves_what_was_known_as_it_was():
    before = learn([1])
    kept = before.keys.clone(), before.ridge.gram.clone(), before.filled.clone()
    before.learn(seen(2), torch.tensor([True, True]), CONFIG)
    assert torch.equal(before.keys, kept[0])
    assert torch.equal(before.ridge.gram, kept[1])
    assert torch.equal(before.filled, kept[2])
    assert before.nbytes == before.to("cpu").nbytes > 0
