"""Fully connected networks: one class for all that the book trains, and the ways in which it trains them.

- `mlp`: `Network`, one of any depth or several side by side; it says what its two kernels count.
- `descent`: `train`, many networks at once, each on its own data, in batches. `fit`: one, in steps so small that the path
  is that of the flow, from lazy to rich, and `controlled_flow`, the same at given times.
- `flow`: `gradient_flow`, the flow itself where there are no kinks, and `stationary`, where it ends.
- `starts`: weights, random streams and training sets, all drawn from generators that are handed in.
- `layers` and `neurons`: what a trained network looks like, layer by layer (the neural feature ansatz) or neuron by neuron.

Forward and backward pass, kernels and training are tested against torch's own layers, gradients and optimisers. It is the
only part of the package that needs torch.
"""
