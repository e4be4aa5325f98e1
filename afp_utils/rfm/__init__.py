"""Recursive Feature Machines: kernel machines whose metric is their average gradient outer product (Radhakrishnan et
al. 2024).

- `recursion`: `fit`, one `Trajectory` of machines. `estimators`: `RFMRegressor` and `RFMClassifier` for scikit-learn.
- `predictor`: `Machine`, one state, and `agop`. `kernels` and `solve` (on all points, or on few centres by Nystrom): what
  a machine is made of.
- `metrics`: powers, factors, scale and structure of a metric. `targets`, `modular`: what there is to learn.

Derived in the chapter recursive-feature-machines; used in neural-feature-ansatz and what-metrics-explain.
"""
