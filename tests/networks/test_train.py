"""Training of many networks at once against torch's own layers, losses, gradients and optimisers, one at a time."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from io import StringIO

import numpy as np
import pytest
import torch
from torch import nn

from afp_utils.networks.descent import MOMENTUM, Descent, adam, sgd, train
from afp_utils.networks.mlp import IDENTITY, RELU, TANH, Network
from afp_utils.networks.starts import ensemble_start, streams
from tests.networks.test_mlp import module, network

RECIPES = {
    "plain": Descent(5, 0.02, 0.01),
    "momentum": Descent(5, 0.03, 0.01, True, partial(sgd, momentum=0.8)),
    "adam": Descent(5, 0.02, 0.01, rule=adam),
}
OPTIMISERS = {sgd: torch.optim.SGD, adam: torch.optim.Adam}


def problem(models=3, n=14, d=4, classes=3):
    rng = np.random.default_rng(1)
    return rng.normal(size=(models, n, d)), rng.integers(classes, size=(models, n))


def start(widths=(4, 6, 5, 3), models=3, **options):
    return ensemble_start(list(widths), streams(np.random.default_rng(2), models).init, **options)


def orders(seed=3, models=3):
    return streams(np.random.default_rng(seed), models).order


def torch_orders(seed=3, models=3):
    return [torch.Generator().manual_seed(seed + i) for i in range(models)]


def half_square(output, target):
    return ((output - target) ** 2).sum(dim=1).mean() / 2


def trained_alone(net, x, y, permutations, recipe, loss):
    """The same training by torch's own layers, losses, gradients and schedules."""
    torch_net, points, target = module(net), torch.tensor(x), torch.tensor(y)
    options = getattr(recipe.rule, "keywords", {})
    rule = OPTIMISERS[getattr(recipe.rule, "func", recipe.rule)]
    moves = rule(torch_net.parameters(), lr=recipe.rate, weight_decay=recipe.decay, **options)
    total = max(1, len(permutations) * -(-len(x) // recipe.batch))
    cosine = torch.optim.lr_scheduler.LambdaLR(moves, lambda i: (1 + np.cos(np.pi * i / total)) / 2)
    for chosen in permutations:
        for first in range(0, len(x), recipe.batch):
            batch = chosen[first : first + recipe.batch]
            moves.zero_grad()
            loss(net.scale * torch_net(points[batch]), target[batch]).backward()
            moves.step()
            if recipe.cosine:
                cosine.step()
    return torch_net


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("activation", [RELU, TANH, IDENTITY], ids=["relu", "tanh", "identity"])
@pytest.mark.parametrize(("biased", "alpha"), [(True, None), (False, 0.7)])
@pytest.mark.parametrize("kind", ["labels", "values"])
def test_training_together_equals_training_alone(recipe, activation, biased, alpha, kind):
    x, labels = problem()
    values = np.random.default_rng(4).normal(size=(3, 14, 3))
    y, loss = {"labels": (labels, nn.functional.cross_entropy), "values": (values, half_square)}[kind]
    begin = replace(start(activation=activation), biases=start().biases if biased else (), alpha=alpha)
    (end,) = train(begin, x, y, orders(), recipe, [6])
    for model, order in enumerate(orders()):
        drawn = [order.permutation(14) for _ in range(6)]
        alone = trained_alone(begin[model], x[model], y[model], drawn, recipe, loss)
        parts = zip(*filter(None, (end[model].weights, end[model].biases)))
        ours = [part for layer in parts for part in layer]
        for found, parameter in zip(ours, alone.parameters(), strict=True):
            np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-6, atol=1e-9)
        expected = begin.scale * alone(torch.tensor(x[0])).detach().numpy()
        np.testing.assert_allclose(end.predict(x[0])[model], expected, rtol=1e-7, atol=1e-9)
    assert np.abs(end.weights[0] - begin.weights[0]).max() > 1e-2


def test_orders_may_be_drawn_by_torch_and_states_are_kept_on_the_way():
    x, recipe = problem()[0], RECIPES["plain"]
    y = np.random.default_rng(4).normal(size=(3, 14, 1))
    begin = network((4, 6, 1), RELU, models=(3,))
    path = train(begin, x, y[..., 0], torch_orders(), recipe, [0, 2, 5])
    np.testing.assert_array_equal(path[0].weights[0], begin.weights[0])
    for model, generator in enumerate(torch_orders()):
        drawn = [torch.randperm(14, generator=generator) for _ in range(5)]
        for state, passes in zip(path, (0, 2, 5)):
            alone = trained_alone(begin[model], x[model], y[model], drawn[:passes], recipe, half_square)
            expected = alone(torch.tensor(x[0])).detach().numpy()[:, 0]
            np.testing.assert_allclose(state.predict(x[0])[model], expected, rtol=1e-9, atol=1e-11)


def test_models_do_not_see_each_other():
    (x, y), recipe = problem(), Descent(5, 0.1, 1e-4, True, MOMENTUM)
    (together,) = train(start(), x, y, orders(), recipe, [4])
    first = Network(tuple(w[:1] for w in start().weights), RELU, tuple(b[:1] for b in start().biases))
    (by_itself,) = train(first, x[:1], y[:1], orders()[:1], recipe, [4])
    np.testing.assert_allclose(together.weights[1][0], by_itself.weights[1][0], rtol=1e-10)


def test_training_keeps_its_arguments_and_the_precision_of_the_data():
    (x, y), state = problem(), torch.random.get_rng_state()
    begin, kept, given, seen = start(), deepcopy(start()), x.copy(), y.copy()
    (end,) = train(begin, x.astype(np.float32), y, orders(), RECIPES["momentum"], [2])
    assert end.weights[0].dtype == end.biases[0].dtype == np.float32
    train(begin, x, y, orders(), RECIPES["momentum"], [2])
    np.testing.assert_array_equal(x, given)
    np.testing.assert_array_equal(y, seen)
    for before, after in zip((*kept.weights, *kept.biases), (*begin.weights, *begin.biases)):
        np.testing.assert_array_equal(before, after)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_in_a_terminal_alone(terminal, monkeypatch):
    shown = StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", shown)
    train(start(), *problem(), orders(), RECIPES["plain"], [2])
    assert ("3 networks" in shown.getvalue()) == terminal


def test_training_fits_the_labels():
    x, y = problem(n=20)
    (end,) = train(start((4, 40, 3)), x, y, orders(5), Descent(5, 0.1, 1e-4, True, MOMENTUM), [150])
    for model in range(3):
        assert (end.labels(x[model])[model] == y[model]).mean() > 0.95


def test_training_does_not_import_torchs_compiler():
    code = (
        "import sys, numpy as np\n"
        "from afp_utils.networks.descent import Descent, adam, train\n"
        "from afp_utils.networks.starts import ensemble_start\n"
        "rng = np.random.default_rng(0)\n"
        "for rule in ({}, {'rule': adam}):\n"
        "    train(ensemble_start([2, 1], [rng]), [[[1, 2]]], [[0]], [rng], Descent(1, 0.1, **rule), [2])\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defaults():
    assert (Descent(5, 0.1).decay, Descent(5, 0.1).cosine, Descent(5, 0.1).rule) == (0.0, False, sgd)
    assert (MOMENTUM.func, MOMENTUM.keywords) == (sgd, {"momentum": 0.9})


X, Y = problem()


def trained(net=None, x=X, y=Y, order=None, recipe=None, epochs=(1,)):
    recipe = recipe or RECIPES["plain"]
    return train(net or start(), x, y, orders() if order is None else order, recipe, epochs)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Descent(0, 0.1), "batch must be at least 1, got 0"),
        (lambda: Descent(5, 0.0), "rate must be positive"),
        (lambda: Descent(5, 0.1, -0.1), "decay must be non-negative"),
        (lambda: trained(y=np.where(Y == 0, 3, Y)), "y must be from 0 to 2, got 1 to 3"),
        (lambda: trained(y=Y - 1), "y must be from 0 to 2, got -1 to 1"),
        (lambda: trained(x=np.where(X > 1, np.nan, X)), "x must be finite, got nan"),
        (lambda: trained(y=np.full((3, 14, 3), np.inf)), "y must be finite, got inf"),
        (lambda: trained(x=X[:, :0], y=Y[:, :0]), "x must be not empty"),
        (lambda: trained(x=X[:2], y=Y[:2], order=orders()[:2]), r"leading axes \(3,\), got \(2,\)"),
        (lambda: trained(start()[0], X[:1], Y[:1], orders()[:1]), r"leading axes \(\), got \(1,\)"),
        (lambda: trained(order=orders()[:2]), r"order must be one generator per network \(3\), got 2"),
        (lambda: trained(y=np.ones((3, 14, 2))), r"y must have one value per output \(3\)"),
        (lambda: trained(epochs=()), "epochs must be not empty"),
        (lambda: trained(epochs=(-1, 2)), "epochs must be at least 0, got -1 at index 0"),
        (lambda: trained(epochs=(3, 2)), "epochs must be strictly increasing"),
        (
            lambda: trained(
                start(activation=IDENTITY), 1e3 * X, np.ones((3, 14, 3)), recipe=Descent(5, 1.0), epochs=[9]
            ),
            "recipe must keep the weights finite",
        ),
    ],
)
def test_bad_input_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_wrong_shapes_are_refused():
    with pytest.raises(TypeError, match=r"y must be an array of integers of shape \(model=3, n=14\) or .* \(3, 5\)"):
        trained(y=Y[:, :5])
