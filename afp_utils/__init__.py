"""The package behind the book: mechanisms of feature learning, one probe, one set of measures.

Everything goes one way: a mechanism makes a trajectory, `observe` looks at it through a probe, a measure reads the
observation, a plot shows the numbers, a claim checks them.

- The core: `trajectory` (models, runs, probes), `measures`, `plots`, `claims` with `registry/`, `exercises/`.
- Sequence models: `sequence` (exact flows), `sequence_rates` (expected risks, best filters).
- Index models: `index_models` (population flows), `index_noise` (with noise and samples), `hermite_features`.
- The linear network: `linear_net` (exact solution), `linear_net_paths` (other losses, finite steps),
  `linear_net_phases` (scalings with width), `linear_net_models` (as models in d dimensions).
- The interaction tensor: `interaction` (the tensor), `interaction_framework` (its exact theory),
  `interaction_calibration`, `interaction_planted` (worlds with known features).
- Recursive feature machines: `rfm` (all of it, re-exported), `rfm_kernels`, `rfm_fit`, `rfm_machine`, `rfm_metrics`,
  `rfm_solve`, `rfm_nystrom`, `rfm_device` (on an accelerator), `rfm_estimators` (for scikit-learn), `rfm_targets`;
  `modular_arithmetic`.
- The sphere: `sphere` (kernel machines, exponents), `sphere_targets`, `sphere_harmonics`, `sparse_regression` (the
  sparse interpolant), `images` and `deformations`.
- `networks/`: the one network class and its training, for three chapters.
"""

__version__ = "0.1.0"
