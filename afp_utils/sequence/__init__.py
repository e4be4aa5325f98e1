"""Sequence models: one coefficient per eigenvalue, learned through a product of factors (Li & Lin 2024).

- `flows`: `gradient_flow`, the exact training path of the features; `Diagonal`, one state; `eigenvalue_law`.
- `rates`: `expected_risk` and the best a fixed kernel can reach, for power laws.

Derived in the chapter Sequence models.
"""
