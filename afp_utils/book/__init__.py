"""The engine of the book. It knows no chapter by name.

In a chapter:

- `claims`: `check` compares a measured value with what the registry expects; `numbers` stores numbers for the prose;
  `needs` says what is left out without a package such as torch.
- `exercises`: `exercise` makes task, stub, checker and worked solution out of one function.
- `living`: `show` draws a figure with sliders, in JupyterLab and on the site, from frames computed beforehand.
- `ledger`: `read` collects the claims of all executed chapters; the ledger's tables are made from that.

Behind the chapters:

- `run`: the command that executes them (`python -m afp_utils.book.run --help`), with `notebooks`, `plain` and `tracing`.
- `compare`: which outputs count as equal when nbval runs a chapter again. `sphinx`: what the site needs.
- `plain`: citations, and the numbers of equations, figures and theorems, as any reader of notebooks shows them.
- `assets`: what the built pages load, and no more. `previews`: what they show beside a link.
- `minutes`: how long a chapter takes to read.
- `address`: where the repository is public, written wherever the book names it (`make address`).

The works cited are in `references.bib`; what the papers assert, with the book's answers, in `papers.toml`.
"""
