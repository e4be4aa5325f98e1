"""Ensembles: streams, members against automatic differentiation, and training against one torch model at a time."""

from copy import deepcopy
from io import StringIO

import numpy as np
import pytest
import torch
from torch import nn

from afp_utils.core.models import Model
from afp_utils.networks.ensembles import Ensemble, initial, streams, subsets
from afp_utils.networks.ensembles_training import Adam, Momentum, fit_labels, fit_values


def problem(models=3, n=14, d=4, classes=3):
    rng = np.random.default_rng(1)
    return rng.normal(size=(models, n, d)), rng.integers(classes, size=(models, n))


def start(widths=(4, 6, 5, 3), models=3, **options):
    return initial(list(widths), streams(np.random.default_rng(2), models).init, **options)


def alone(ensemble, model):
    """One network of the ensemble as a torch module, in double precision."""
    layers = []
    for w, b in zip(ensemble.weights, ensemble.biases):
        linear = nn.Linear(*w.shape[1:]).double()
        linear.weight.data, linear.bias.data = torch.tensor(w[model].T.copy()), torch.tensor(b[model].copy())
        layers += [linear, nn.LeakyReLU(ensemble.leak)]
    return nn.Sequential(*layers[:-1])


def trained_alone(ensemble, model, x, y, order, recipe, loss):
    """The same training by torch's own layers, losses, gradients and optimisers."""
    net, stream, n = alone(ensemble, model), deepcopy(order[model]), x.shape[1]
    points, target = torch.tensor(x[model]), torch.tensor(y[model])
    if isinstance(recipe, Momentum):
        moves: torch.optim.Optimizer = torch.optim.SGD(
            net.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.decay
        )
        total = recipe.epochs * -(-n // recipe.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(moves, lambda i: (1 + np.cos(np.pi * i / total)) / 2)
    else:
        moves, schedule = torch.optim.Adam(net.parameters(), recipe.rate), None
    for _ in range(recipe.epochs):
        chosen = stream.permutation(n)
        for first in range(0, n, recipe.batch):
            batch = chosen[first : first + recipe.batch]
            moves.zero_grad()
            loss(net(points[batch]), target[batch]).backward()
            moves.step()
            if schedule:
                schedule.step()
    return net


def half_square(output, target):
    return ((output - target) ** 2).sum(dim=1).mean() / 2


@pytest.mark.parametrize("recipe", [Momentum(6, 5, 0.03, 0.8, 0.01), Adam(6, 5, 0.02)], ids=["momentum", "adam"])
@pytest.mark.parametrize("leak", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("kind", ["labels", "values"])
def test_training_together_equals_training_alone(recipe, leak, kind):
    x, labels = problem()
    begin, order = start(leak=leak), streams(np.random.default_rng(3), 3).order
    values = np.random.default_rng(4).normal(size=(3, 14, 3))
    fit, y, loss = {
        "labels": (fit_labels, labels, nn.functional.cross_entropy),
        "values": (fit_values, values, half_square),
    }[kind]
    end = fit(begin, x, y, deepcopy(order), recipe)
    for model in range(3):
        net = trained_alone(begin, model, x, y, order, recipe, loss)
        expected = net(torch.tensor(x[0])).detach().numpy()
        np.testing.assert_allclose(end.outputs(x[0])[model], expected, rtol=1e-7, atol=1e-9)
    assert np.abs(end.weights[0] - begin.weights[0]).max() > 1e-2


def test_models_do_not_see_each_other():
    x, y = problem()
    order = streams(np.random.default_rng(3), 3).order
    together = fit_labels(start(), x, y, deepcopy(order), Momentum(4, 5, 0.1))
    first = Ensemble(tuple(w[:1] for w in start().weights), tuple(b[:1] for b in start().biases))
    by_itself = fit_labels(first, x[:1], y[:1], deepcopy(order[:1]), Momentum(4, 5, 0.1))
    np.testing.assert_allclose(together.weights[1][0], by_itself.weights[1][0], rtol=1e-10)


def test_training_keeps_its_arguments_and_the_precision_of_the_data():
    x, y = problem()
    begin, kept, given = start(), deepcopy(start()), x.copy()
    end = fit_labels(begin, x.astype(np.float32), y, streams(np.random.default_rng(0), 3).order, Momentum(2, 5, 0.1))
    assert end.weights[0].dtype == np.float32
    np.testing.assert_array_equal(x, given)
    for before, after in zip(kept.weights, begin.weights):
        np.testing.assert_array_equal(before, after)
    none = fit_labels(begin, x, y, streams(np.random.default_rng(0), 3).order, Momentum(0, 5, 0.1))
    np.testing.assert_array_equal(none.weights[0], begin.weights[0])


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_in_a_terminal_alone(terminal, monkeypatch):
    shown = StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", shown)
    x, y = problem()
    fit_labels(start(), x, y, streams(np.random.default_rng(0), 3).order, Momentum(2, 5, 0.1))
    assert ("3 models" in shown.getvalue()) == terminal


def test_training_fits_the_labels():
    x, y = problem(n=20)
    end = fit_labels(start((4, 40, 3)), x, y, streams(np.random.default_rng(5), 3).order, Momentum(150, 5, 0.1))
    for model in range(3):
        assert (end.labels(x[model])[model] == y[model]).mean() > 0.95


@pytest.mark.parametrize("same", ["same_data", "same_init", "same_order", None])
def test_streams_are_the_same_just_where_asked(same):
    made = streams(np.random.default_rng(7), 4, **({same: True} if same else {}))
    for name in ("data", "init", "order"):
        draws = np.stack([rng.random(5) for rng in getattr(made, name)])
        distinct = len(np.unique(draws[:, 0]))
        assert distinct == (1 if same == f"same_{name}" else 4)
    again = streams(np.random.default_rng(7), 4)
    np.testing.assert_array_equal(again.init[1].random(3), streams(np.random.default_rng(7), 4).init[1].random(3))


def test_subsets_are_sets():
    chosen = subsets(streams(np.random.default_rng(0), 5).data, 12, 7)
    assert chosen.shape == (5, 7)
    assert all(len(set(row)) == 7 for row in chosen)
    assert chosen.min() >= 0
    assert chosen.max() < 12
    shared = subsets(streams(np.random.default_rng(0), 5, same_data=True).data, 12, 7)
    assert (shared == shared[0]).all()


def test_start_has_the_promised_spread():
    begin = initial([50, 200, 3], streams(np.random.default_rng(0), 6).init, gain=0.5)
    assert begin.weights[0].std() == pytest.approx(0.5 * np.sqrt(2 / 50), rel=0.02)
    assert begin.weights[1].std() == pytest.approx(0.5 * np.sqrt(2 / 200), rel=0.05)
    assert not any(b.any() for b in begin.biases)


def test_defaults():
    usual = initial([50, 200, 3], streams(np.random.default_rng(0), 6).init)
    assert usual.weights[0].std() == pytest.approx(np.sqrt(2 / 50), rel=0.02)
    assert usual.leak == 0
    assert (Momentum(1, 5, 0.1).momentum, Momentum(1, 5, 0.1).decay) == (0.9, 1e-4)
    distinct = streams(np.random.default_rng(7), 3)
    for own in (distinct.data, distinct.init, distinct.order):
        assert len({rng.random() for rng in own}) == 3


@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("widths", [(4, 3), (4, 6, 3), (4, 6, 5, 3)])
def test_member_answers_equal_automatic_differentiation(leak, widths):
    ensemble = start(widths, leak=leak)
    ensemble = Ensemble(ensemble.weights, tuple(b + 0.1 for b in ensemble.biases), leak)
    member, net = ensemble.member(1, 2), alone(ensemble, 1)
    assert isinstance(member, Model)
    x = np.random.default_rng(0).normal(size=(7, 4))
    points = torch.tensor(x, requires_grad=True)
    output = net(points)[:, 2]
    np.testing.assert_allclose(member.predict(x), output.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(member.predict(x), ensemble.outputs(x)[1, :, 2], atol=1e-12)
    slope = torch.autograd.grad(output.sum(), points, retain_graph=True)[0].numpy()
    np.testing.assert_allclose(member.gradient(x), slope, atol=1e-12)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, net.parameters(), retain_graph=True)]) for o in output
    ]
    jacobian = torch.stack(rows).numpy()
    np.testing.assert_allclose(member.tangent(x), jacobian @ jacobian.T, atol=1e-10)
    hidden = np.concatenate([ensemble.hidden(x)[1], np.ones((7, 1))], axis=1)
    np.testing.assert_allclose(member.gram(x), hidden @ hidden.T, atol=1e-12)
    np.testing.assert_array_equal(ensemble.labels(x)[1], net(points).argmax(dim=1).numpy())


def test_bad_input_is_refused():
    x, y = problem()
    order, recipe = streams(np.random.default_rng(0), 3).order, Momentum(1, 5, 0.1)
    with pytest.raises(ValueError, match="models must be at least 1"):
        streams(np.random.default_rng(0), 0)
    with pytest.raises(ValueError, match="size must be from 1 to the pool"):
        subsets(order, 5, 6)
    with pytest.raises(ValueError, match="widths must be at least two"):
        initial([4], order)
    with pytest.raises(ValueError, match="gain must be positive"):
        initial([4, 2], order, gain=-1.0)
    with pytest.raises(ValueError, match="leak must be in"):
        initial([4, 2], order, leak=1.5)
    with pytest.raises(ValueError, match="model and output must be below 3 and 3"):
        start().member(3, 0)
    with pytest.raises(ValueError, match="y must be from 0 to 2, got 1 to 3"):
        fit_labels(start(), x, np.where(y == 0, 3, y), order, recipe)
    with pytest.raises(ValueError, match="x must be finite, got nan"):
        fit_labels(start(), np.where(x > 1, np.nan, x), y, order, recipe)
    with pytest.raises(ValueError, match=r"x must be given for each model \(3\)"):
        fit_labels(start(), x[:2], y[:2], order[:2], recipe)
    with pytest.raises(ValueError, match="y must have one value per output"):
        fit_values(start(), x, np.ones((3, 14, 2)), order, recipe)
    with pytest.raises(TypeError):
        fit_labels(start(), x, y[:, :5], order, recipe)
    with pytest.raises(ValueError, match="recipe must keep the weights finite"):
        fit_values(start(leak=1.0), 1e3 * x, np.ones((3, 14, 3)), order, Momentum(9, 5, 1.0))
    for make in (Momentum, Adam):
        with pytest.raises(ValueError, match="rate must be positive"):
            make(1, 5, 0.0)
        with pytest.raises(ValueError, match="batch must be positive"):
            make(1, 0, 0.1)
        with pytest.raises(ValueError, match="epochs must be non-negative"):
            make(-1, 5, 0.1)
