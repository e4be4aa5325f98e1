"""Fully connected networks: one class for all that the book trains, and the ways in which it trains them.

- `mlp.Network`: a network of any depth, or several of one shape side by side; a model of this book, which says what its
  two kernels count.
- `descent.train`: many networks at once, each on its own data, in batches. `descent.fit`: one network, in steps so small
  that the path is that of the flow, from lazy to rich.
- `flow.gradient_flow`: the flow itself, as a trajectory (`descent.controlled_flow` where there are kinks), and
  `flow.stationary`: where it ends.
- `starts`: weights, random streams and training sets, all drawn from generators that are handed in.
- `layers` and `neurons`: what a trained network looks like, layer by layer (the neural feature ansatz) or neuron by neuron.

Sparsity harm uses `fit` and `neurons`, the interaction tensor `train` and streams, recursive feature machines `train`,
the flow and `layers`. What is measured there of networks is derived there; that forward and backward pass, kernels and
training are what they should be is tested against torch's own layers, gradients and optimisers.
"""
