"""The package behind the book. One folder holds one mechanism: its simulation, its claims and its exercises.

    core          what all mechanisms share: models in time, one probe, the measures, the figures
    networks      trained networks, for the mechanisms that need one
    language      one-language: what a feature is, and the measures on a toy
    sequence      sequence-models: diagonal linear networks and their risks
    index         index-models: hidden directions, found by learned order
    linear        three-mechanisms: the linear network, solved exactly
    sphere        sparsity-harm: lazy kernels beside the sparse interpolant
    interaction   interaction-tensor: models, data and features; agreement and votes
    rfm           recursive-feature-machines, neural-feature-ansatz, what-metrics-explain: kernels whose metric learns
    book          the engine: claims, ledger, exercises, the runner of chapters; it knows no chapter by name

Everything goes one way: a mechanism makes a `Trajectory`, `observe` looks at it through a `Probe`, a measure reads the
`Observation`, a figure shows the numbers, a claim checks them. Imports go one way too: `core`, then `networks`, then the
mechanisms, which do not know each other.
"""
