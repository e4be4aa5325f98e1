"""The linear network of two layers, solved exactly (Xu & Ziyin 2025): alignment, disalignment, rescaling.

- `solution`: `Problem`, `exact` (the weights at all times), `limit`, `alignment`, `invariants`.
- `paths`: other losses and finite steps (`gradient_descent`, `time_under_loss`).
- `phases`: how each mechanism scales with width (`phase`, `PARAMETERISATIONS`).
- `models`: the network in d dimensions, as a `Trajectory` (`gradient_flow`).

Derived in the chapter Three mechanisms.
"""
