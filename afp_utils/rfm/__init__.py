"""Recursive Feature Machines: kernel machines whose metric is their average gradient outer product (Radhakrishnan et
al. 2024).

- `recursion`: `fit`, one `Trajectory` of machines. `estimators`: `RFMRegressor` and `RFMClassifier` for scikit-learn.
- `predictor`: `Machine`, one state, and `agop`. `kernels`, `solve`, `nystrom`: what a machine is made of.
- `metrics`: norms, powers and residuals of a metric. `targets`, `modular`: what there is to learn.

Derived in the chapter Recursive feature machines.
"""
