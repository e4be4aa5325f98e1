"""What every mechanism produces and what every measure sees.

- `models`: `Model` (four questions to a predictor), `Trajectory` (models in time), `Probe`, `observe`, `white`.
- `measures`: five measures of what an observation shows, and `MEASURES`, which lists them.
- `plots`: the few figure types of the book. `refuse`: arguments that are checked where they are declared.
- `flow`: a differential equation, solved at given times.

Introduced in the chapter One language.
"""
