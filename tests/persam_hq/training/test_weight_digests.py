import torch

from persam_hq.training.weight_digests import combined_digest, tensor_digest, tensor_digests


def test_a_digest_sees_values_shapes_and_types():
    value = torch.arange(6.0)
    others = [value + 1, value.reshape(2, 3), value.double(), value.bfloat16()]
    assert tensor_digest(value) == tensor_digest(torch.arange(12.0)[:6])
    assert len({tensor_digest(other) for other in [value, *others]}) == 5
    assert tensor_digest(value.reshape(2, 3).T) == tensor_digest(value.reshape(2, 3).T.contiguous())
    assert tensor_digest(torch.tensor(3)) != tensor_digest(torch.tensor(4))


def test_many_digests_make_one_whatever_their_order():
    tensors = {"a": torch.zeros(2), "b": torch.ones(2)}
    digests = tensor_digests(tensors, ["a", "b"])
    assert combined_digest(digests) == combined_digest(tensor_digests(tensors, ["b", "a"]))
    assert combined_digest(digests) != combined_digest(tensor_digests(tensors, ["a"]))
