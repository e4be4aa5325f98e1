# The two commands are `make book` and `make test`. Both set up .venv from nothing on their first run.

# The first Python that is new enough; `make book PY=/some/python` chooses another.
PY ?= $(firstword $(foreach python,python3.11 python3 python3.12 python3.13 python3.14,$(shell \
	$(python) -c 'import sys; print("$(python)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
PYTHON := .venv/bin/python
READY := .venv/.ready
# torch in its small build without CUDA. If the index cannot be reached, pip goes on without it, at once.
TORCH_INDEX ?= --extra-index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 20
ifdef NEWEST # the newest versions that pyproject.toml allows, instead of the pinned ones
TORCH := torch
else
TORCH := $(shell grep '^torch==' constraints.txt)
PINS := -c constraints.txt
endif
export AFP_NEWEST := $(NEWEST)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# small matrices run fastest on one thread, and two chapters run at a time
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help book site address test coverage chapters measure long lint bench screenshots clean
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

# Built beside the old site, which it replaces once complete, in a folder of its own: an interrupted or failed build
# leaves nothing behind, and two at once do not meet.
site: $(READY) ## build the site from the chapters as they are stored
	@echo "site: building, warnings are errors"
	@new=_build/new.$$$$ && trap 'rm -rf $$new' EXIT \
	  && .venv/bin/jupyter-book build . --path-output $$new -W --keep-going -q >/dev/null \
	  && rm -rf _build/html && mv $$new/_build/html _build/html
	@echo "site: open file://$(CURDIR)/_build/html/index.html"

address: ## say, or with URL=https://host/owner/name write, where the repository is public
	@$(or $(PY),python3) -m afp_utils.book.address $(if $(BRANCH),--branch "$(BRANCH)") -- "$(URL)"

measure: $(READY) ## run all chapters, or CHAPTER=name, one at a time and store their run time and memory
	@$(PYTHON) -m afp_utils.book.run measure $(CHAPTER)

# More repetitions than the book shows, with the claims of the short version.
long: $(READY) ## run the chapters' long versions into _build/long, beside the book
	@AFP_SEEDS=20 AFP_LONG=1 PYTHONPATH=$(CURDIR) .venv/bin/jupyter nbconvert --to notebook --execute --output-dir _build/long \
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

# The mark is written last, so an interrupted set-up starts again: without it the folder is made anew.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PY)" || { echo "set-up: the book needs Python 3.11 or newer, and found $$(python3 --version 2>/dev/null \
	  || echo 'no python3'). Install python3.11 with its venv module, or say where it is: make $(MAKECMDGOALS) PY=..." >&2; exit 1; }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "set-up: PY must be Python 3.11 or newer, \
	got $(PY), $$($(PY) --version 2>&1)" >&2; exit 1; }
	@if test -e $@ && $(PYTHON) --version >/dev/null 2>&1; then rm $@; echo "set-up: the requirements changed, updating .venv"; \
	else echo "set-up: $$($(PY) --version) into .venv (a minute or two, 2 GB)"; rm -rf .venv; $(PY) -m venv .venv; fi
	@echo "set-up: torch" && $(PYTHON) -m pip install -q $(TORCH) $(TORCH_INDEX)
	@echo "set-up: all else" && $(PYTHON) -m pip install -q -e '.[book,test]' $(PINS)
	@touch $@
