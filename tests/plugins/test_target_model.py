import pytest
import torch
from stand_ins.frame import prior_of

from persam_hq.types import ImageGeometry
from persamhq_plugins.target_model import Cells, Model, cover, known_cells, principal_axes, unit_features

KINDS = pytest.mark.parametrize("kind", ["ridge", "logistic"])


def two_clouds(n=200, dims=6, *, share=0.25, seed=0):
    """Inputs (n, dims+1) of which a share lies around one point and the rest around another; which are which."""
    random = torch.Generator().manual_seed(seed)
    truth = (torch.arange(n) < share * n).double()
    values = 0.3 * torch.randn(n, dims, generator=random, dtype=torch.float64)
    values[:, 0] += 2 * truth - 1
    return torch.cat([values, torch.ones(n, 1, dtype=torch.float64)], dim=1), truth


def cells_of(inputs, truth):
    return known_cells(inputs, truth, torch.ones_like(truth))


class TestCover:
    def test_shares_of_cells(self):
        mask = torch.zeros(8, 12, dtype=torch.bool)
        mask[:4, :6] = True
        geometry = ImageGeometry(original=(8, 12), input=(8, 12), padded=(8, 12))
        masked, image = cover(mask, geometry, (2, 3))
        assert masked.tolist() == [1, 0.5, 0, 0, 0, 0]
        assert image.tolist() == [1] * 6

    def test_padding_is_no_image(self):
        geometry = ImageGeometry(original=(4, 8), input=(8, 16), padded=(16, 16))
        masked, image = cover(torch.ones(4, 8, dtype=torch.bool), geometry, (4, 4))
        assert image.reshape(4, 4).tolist() == [[1] * 4, [1] * 4, [0] * 4, [0] * 4]
        assert torch.equal(masked, image)

    @pytest.mark.parametrize("size", [(7, 13), (1, 1), (31, 5)])
    def test_odd_sizes_lose_no_pixel(self, size):
        mask = torch.zeros(size, dtype=torch.bool)
        mask[-1, -1] = True
        geometry = ImageGeometry(original=size, input=size, padded=(32, 32))
        masked, image = cover(mask, geometry, (2, 2))
        assert masked.sum() * 256 == pytest.approx(1)
        assert image.sum() * 256 == pytest.approx(size[0] * size[1])


class TestAxes:
    def test_features_are_of_unit_length(self):
        features = unit_features(prior_of(torch.zeros(8, 8), embedding=torch.randn(5, 2, 3)))
        assert features.shape == (6, 5)
        assert torch.allclose(features.norm(dim=1), torch.ones(6, dtype=torch.float64))

    def test_without_features_there_is_no_model(self):
        with pytest.raises(ValueError, match="carries no features; expected those of the encoder"):
            unit_features(prior_of(torch.zeros(8, 8)))

    def test_the_direction_of_most_variation_comes_first(self):
        random = torch.Generator().manual_seed(0)
        features = torch.randn(500, 4, generator=random, dtype=torch.float64) * torch.tensor([0.1, 3.0, 0.2, 1.0])
        axes = principal_axes(features + 7, torch.ones(500, dtype=torch.float64), 2)
        assert axes.axes.abs().argmax(dim=0).tolist() == [1, 3]
        inputs = axes.inputs(features + 7)
        assert inputs.shape == (500, 3)
        assert inputs[:, -1].eq(1).all()
        assert inputs[:, :2].mean(dim=0).abs().max() < 0.01
        assert 0.8 < (inputs[:, :2] ** 2).sum(dim=1).mean() <= 1

    def test_padding_has_no_say(self):
        features = torch.eye(4, dtype=torch.float64).repeat(5, 1)
        strange = torch.cat([features, torch.full((7, 4), 99.0, dtype=torch.float64)])
        image = torch.cat([torch.ones(20), torch.zeros(7)]).double()
        assert torch.allclose(principal_axes(strange, image, 3).mean, features.mean(dim=0).half())

    def test_features_that_are_all_alike_are_no_error(self):
        axes = principal_axes(torch.ones(6, 3, dtype=torch.float64), torch.ones(6, dtype=torch.float64), 2)
        assert torch.isfinite(axes.inputs(torch.ones(6, 3, dtype=torch.float64))).all()


class TestModel:
    def test_foreground_and_background_weigh_the_same(self):
        cells = known_cells(torch.ones(4, 2), torch.tensor([1.0, 0.5, 0, 0]), torch.tensor([1.0, 1, 1, 0]))
        assert torch.allclose(cells.foreground, torch.tensor([2 / 3, 1 / 3, 0, 0]))
        assert torch.allclose(cells.background, torch.tensor([0, 1 / 3, 2 / 3, 0]))

    @KINDS
    def test_it_tells_two_clouds_apart(self, kind):
        inputs, truth = two_clouds()
        model = Model.fit(kind, cells_of(inputs, truth), regularisation=0.01)
        unseen, expected = two_clouds(seed=1)
        scores = model.scores(kind, unseen, regularisation=0.01)
        assert ((scores > 0) == (expected > 0.5)).double().mean() > 0.98
        assert scores[expected > 0.5].mean() > 0.6
        assert scores[expected < 0.5].mean() < -0.6

    @KINDS
    def test_a_sliver_of_a_cell_is_foreground_all_the_same(self, kind):
        inputs, truth = two_clouds(share=0.005)
        model = Model.fit(kind, cells_of(inputs, 0.02 * truth), regularisation=0.01)
        scores = model.scores(kind, inputs, regularisation=0.01)
        assert scores.argmax() == 0

    @KINDS
    @pytest.mark.parametrize("masked", [0.0, 1.0])
    def test_a_frame_that_is_all_of_one_kind_is_no_error(self, kind, masked):
        inputs, truth = two_clouds(20)
        model = Model.fit(kind, cells_of(inputs, torch.full_like(truth, masked)), regularisation=0.01)
        scores = model.scores(kind, inputs, regularisation=0.01)
        assert (scores > 0).all() if masked else (scores < 0).all()

    @KINDS
    def test_it_follows_a_target_that_changes(self, kind):
        inputs, truth = two_clouds()
        changed = inputs.clone()
        changed[:, 0], changed[:, 1] = 0.0, inputs[:, 0]  # what told them apart is in another feature now
        model = Model.fit(kind, cells_of(inputs, truth), regularisation=0.01)

        def separation(model):
            scores = model.scores(kind, changed, regularisation=0.01)
            return float(scores[truth > 0].mean() - scores[truth == 0].mean())

        found = [separation(model)]
        for _ in range(3):
            model = model.updated(kind, cells_of(changed, truth), rate=0.3, regularisation=0.01)
            found.append(separation(model))
        assert found == sorted(found)
        assert found[0] < 0.3
        assert found[-1] > 1.0

    def test_ridge_solves_the_normal_equations(self):
        inputs, truth = two_clouds(30, 2)
        cells = cells_of(inputs, truth)
        weights = (cells.foreground + cells.background).sqrt()[:, None]
        stacked = torch.cat([weights * inputs, torch.eye(3, dtype=torch.float64) * 0.5**0.5])
        wanted = torch.cat([weights[:, 0] * (2 * truth - 1), torch.zeros(3, dtype=torch.float64)])
        expected = torch.linalg.lstsq(stacked, wanted[:, None]).solution[:, 0]
        scores = Model.fit("ridge", cells, regularisation=0.5).scores("ridge", inputs, regularisation=0.5)
        assert torch.allclose(scores, inputs @ expected)

    @pytest.mark.parametrize("scale", [1.0, 100.0])
    def test_logistic_ends_where_the_gradient_is_zero(self, scale):
        inputs, truth = two_clouds(60, 3)
        cells = cells_of(inputs * scale, truth)
        model = Model.fit("logistic", cells, regularisation=0.01)
        weights = model.vector.clone().requires_grad_()
        z = cells.inputs @ weights
        loss = -(cells.foreground @ torch.log(torch.sigmoid(z)) + cells.background @ torch.log(torch.sigmoid(-z)))
        (gradient,) = torch.autograd.grad(loss + 0.005 * weights @ weights, [weights])
        assert gradient.abs().max() < 1e-5 * scale

    def test_learning_the_same_frame_again_hardly_moves_a_logistic_model(self):
        inputs, truth = two_clouds()
        model = Model.fit("logistic", cells_of(inputs, truth), regularisation=0.01)
        again = model.updated("logistic", cells_of(inputs, truth), rate=0.1, regularisation=0.01)
        assert torch.allclose(model.vector, again.vector, rtol=0.2, atol=0.1)

    def test_lighter_cells(self):
        cells = Cells(torch.ones(1, 2), torch.tensor([0.5]), torch.tensor([1.0])).reweighted(0.1)
        assert (float(cells.foreground), float(cells.background)) == pytest.approx((0.05, 0.1))
