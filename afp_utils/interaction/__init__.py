"""Which model has which feature, and which point carries it (Jiang, Baek & Kolter 2024).

- `tensor`: `interaction_tensor`, features of trained networks matched across models.
- `framework`: dominant and rare features, where `accuracy` and `agreement` have closed forms.
- `votes`: `error`, `disagreement`, calibration, and the identity between them.
- `planted`: worlds whose features are known.

Derived in the chapter Interaction tensor.
"""
