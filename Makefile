# The two commands are `make book` and `make test`. Both set up .venv from nothing on their first run.

# The first Python that is new enough; `make book PY=/some/python` chooses another.
PY ?= $(firstword $(foreach python,python3.11 python3 python3.12 python3.13 python3.14,$(shell \
	$(python) -c 'import sys; print("$(python)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
PYTHON := .venv/bin/python
# NEWEST=1 takes the newest versions that pyproject.toml allows, instead of the pinned ones
READY := .venv/.ready$(if $(NEWEST),-newest)
export AFP_NEWEST := $(NEWEST)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# whatever the locale is, and wherever HOME cannot be written
export PYTHONUTF8 := 1
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
# small matrices run fastest on one thread, and two chapters run at a time
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help book site pdf address test coverage chapters study measure checked next long lint bench screenshots clean
help: ## say what the targets do
	@sed -nE 's/^([a-z]+):.*## /\1\t/p' Makefile | expand -t 14

book: chapters site ## set up, run the chapters that are out of date, build the site with warnings as errors

test: $(READY) ## set up and run all tests: package, chapters, structure of the book, site, browser
	@echo "test: two workers, each chapter on one of them"
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(READY) ## say which share of the package the tests run, chapters left out, folder by folder
	@$(PYTHON) -m coverage erase && $(PYTHON) -m coverage run -m pytest -q -n 2 --dist loadfile tests
	@$(PYTHON) -m coverage combine -q && $(PYTHON) -m coverage report
	@echo && for folder in $(sort $(dir $(wildcard afp_utils/*.py afp_utils/*/*.py))); do \
	  printf '%-24s %3s%%\n' $$folder $$($(PYTHON) -m coverage report --include="$$folder*.py" --format=total); done

chapters: $(READY) ## run the chapters whose stored outputs are out of date
	@echo "chapters: looking for outputs that are out of date"
	@$(PYTHON) -m afp_utils.book.run run --changed

study: $(READY) ## copy the chapters into study/, to work in: what you changed there stays
	@$(PYTHON) -m tools.study

site: _build/html/index.html ## build the site from the chapters as they are stored, unless nothing has changed
	@$(PYTHON) -c 'from pathlib import Path; print("site: open", Path("_build/html/index.html").resolve().as_uri())'

# Built beside the old site, which it replaces once complete, in a folder of its own: an interrupted or failed build
# leaves nothing behind, and two at once do not meet.
_build/html/index.html: $(READY) $(shell find _config.yml _toc.yml _static _templates chapters afp_utils -type f \
	! -name '*.pyc' ! -name '.*' ! -path '*/.ipynb_checkpoints/*' 2>/dev/null)
	@echo "site: building, warnings are errors"
	@new=_build/new.$$$$ && trap 'rm -rf $$new' EXIT \
	  && .venv/bin/jupyter-book build . --path-output $$new -W --keep-going -q >/dev/null \
	  && $(PYTHON) tools/swap.py $$new/_build/html _build/html

pdf: site ## print the chapters and the whole book into _build/html/pdf, which the pages' download menus then offer
	@$(PYTHON) -m tools.pdf _build/html

address: ## say, or with URL=https://host/owner/name write, where the repository is public
	@$(or $(PY),python3) -m afp_utils.book.address $(if $(BRANCH),--branch "$(BRANCH)") -- "$(URL)"

# Jupyter Book 1 holds Sphinx at 7; when it goes, the book is built in this way.
next: site ## build the site by the newest Sphinx, without Jupyter Book, and compare the pages
	@echo "next: the same configuration, the newest versions; warnings are errors"
	@$(PYTHON) -m tools.next _build/html _build/next

measure: $(READY) ## run all chapters, or CHAPTER=name, one at a time and store their run time and memory
	@$(PYTHON) -m afp_utils.book.run measure $(CHAPTER)

checked: $(READY) ## run the book in the environments WHERE="name ..." and write their rows into chapters/checked.md
	@$(PYTHON) -m tools.checked $(WHERE) $(if $(TORCH),--torch $(TORCH))

# More repetitions than the book shows, with the claims of the short version.
long: $(READY) ## run the chapters' long versions into _build/long, beside the book
	@AFP_SEEDS=20 AFP_LONG=1 PYTHONPATH="$(CURDIR)" $(PYTHON) -m nbconvert --to notebook --execute --output-dir _build/long \
	  $(patsubst %,chapters/%.ipynb,sparsity-harm interaction-tensor recursive-feature-machines \
	    what-metrics-explain)

lint: $(READY) ## style, spelling, imports and types: what is wrong, of all of them
	@status=0; for tool in "ruff check -q ." "ruff format -q --check ." codespell lint-imports mypy; do \
	  said=$$(.venv/bin/$$tool 2>&1) || { echo "lint: $$tool"; echo "$$said"; status=1; }; done; exit $$status

# xrfm, a peer, is no dependency of the book: put it where Python finds it (`pip install --no-deps --target DIR
# xrfm==0.4.5`, then `PYTHONPATH=DIR make bench`), else the page keeps its rows.
bench: $(READY) ## time the package beside its peers, one thread, and write chapters/benchmarks.md
	@$(PYTHON) -m pytest benchmarks -q --benchmark-only --benchmark-columns=mean --page

screenshots: site ## take every page, wide and narrow, light and dark, into _build/screenshots
	@$(PYTHON) tools/screenshots.py _build/html _build/screenshots

clean: ## remove the environment and all that was built
	rm -rf .venv _build

# an environment whose Python has gone is made anew too
$(PYTHON): ;
$(READY): pyproject.toml constraints.txt $(PYTHON)
	@test -n "$(PY)" || { echo "set-up: the book needs Python 3.11 or newer, and found $$(python3 --version 2>/dev/null \
	  || echo 'no python3'). Install python3.11 with its venv module, or say where it is: make $(MAKECMDGOALS) PY=..." >&2; exit 1; }
	@command -v "$(PY)" >/dev/null || { echo "set-up: PY must be Python 3.11 or newer, got $(PY), which is not there" >&2; exit 1; }
	@"$(PY)" tools/set_up.py $@
