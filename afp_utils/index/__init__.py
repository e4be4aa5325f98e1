"""Index models: a target that looks at few hidden directions, and features that have to find them.

- `population`: `single_index` and `multi_index` flows with unlimited data; `escape_time`.
- `sampling`: the same with noise or on a sample (`white_noise_flow`, `sample_flow`).
- `features`: Hermite polynomials and tensors, in which such flows are closed.

Derived in the chapter Index models.
"""
