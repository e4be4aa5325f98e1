"""Regression on the sphere, lazy and sparse: where learning features hurts (Petrini et al. 2022).

- `kernels`: `RandomFeatureMachine`, `TangentMachine`.
- `sparse`: `sparse_interpolant`, the limit of training with few active neurons.
- `targets`, `harmonics`, `theory`: Gaussian fields, their spectra, and what the spectra say; exponents
  (`predicted_exponent`, `fitted_exponent`).
- `images`, `deformations`: handwritten digits, and smooth deformations of them.

Derived in the chapter Sparsity harm.
"""
