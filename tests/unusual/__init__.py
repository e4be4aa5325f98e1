"""Right answers written in another way, one module a chapter; a function is named like its exercise (and `_2`, ...)."""
