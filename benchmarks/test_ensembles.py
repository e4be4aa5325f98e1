"""Twenty networks on digits trained all at once beside a loop over torch models with autograd."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from afp_utils.networks.descent import MOMENTUM, Descent, train
from afp_utils.networks.starts import ensemble_start, streams, subsets

MODELS, SIZE, LOOPED, EPOCHS = 20, 200, 4, 10
RECIPE = Descent(batch=10, rate=0.05, decay=1e-4, cosine=True, rule=MOMENTUM)


@pytest.mark.parametrize("widths", [(64, 64, 10), (64, 64, 64, 64, 10)], ids=["one hidden", "three hidden"])
def test_ensemble_beside_a_loop_over_models(beside, record, request, widths):
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    made = streams(np.random.default_rng(0), MODELS)
    chosen = subsets(made.data, len(x), SIZE)
    start = ensemble_start(widths, made.init)

    def loop():
        for own in chosen[:LOOPED]:
            layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
            net, points, labels = nn.Sequential(*layers[:-1]), torch.from_numpy(x[own]), torch.from_numpy(y[own])
            moves = torch.optim.SGD(net.parameters(), RECIPE.rate, momentum=0.9, weight_decay=RECIPE.decay)
            for _ in range(EPOCHS):
                order = torch.randperm(SIZE)
                for first in range(0, SIZE, RECIPE.batch):
                    batch = order[first : first + RECIPE.batch]
                    moves.zero_grad()
                    nn.functional.cross_entropy(net(points[batch]), labels[batch]).backward()
                    moves.step()

    mine, theirs = beside(
        lambda: train(start, x[chosen], y[chosen], made.order, RECIPE, [EPOCHS]), loop, rounds=3, scale=MODELS / LOOPED
    )
    depth = request.node.callspec.id
    record("mechanisms", f"{MODELS} networks, {depth}", "loop over torch models", mine, theirs, theirs / mine)
    assert theirs > 5 * mine
