# Needs python3 (3.11 or newer, with its venv module) and make; the rest goes into .venv.
# Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(patsubst %,docs/%,$(wildcard notebooks/*.ipynb))
CODE := $(shell find timesync_xr -name '*.py')
TESTS := $(BIN)/pytest --numprocesses logical --maxprocesses 8 --dist worksteal

.PHONY: help demo test test-all lint types docs picture notebooks bench bench-scale fuzz clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: $(VENV)/with-test ## make a small archive and its TimeSync project in demo/
	$(BIN)/timesync-xr sample demo
	$(BIN)/timesync-xr extract demo/plots.csv --source demo/items.json \
	  --mirror s3://usgs-landsat-ard=demo --out demo/project
	$(BIN)/timesync-xr browse demo/project
	@echo
	@echo 'Open demo/project/browse/index.html in a browser. The files of TimeSync are in' \
	  demo/project/prj_*, 'what was done in demo/project/ledger/plots.csv'

test: $(VENV)/with-test ## run the tests, in some minutes
	$(TESTS)

test-all: $(VENV)/with-test $(VENV)/with-oracles ## run them in full depth: those that take long too, and more examples
	$(TESTS) -m 'not services' --hypothesis-profile full

lint: $(VENV)/with-dev ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/with-dev $(VENV)/with-test ## check types
	$(BIN)/mypy

docs: $(VENV)/with-docs $(RUN) ## build the documentation into docs/_build/html; runs the notebooks
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env -b html docs docs/_build/html
	$(BIN)/python docs/picture.py docs/_build/html/_images/plot-page.webp

picture: $(VENV)/with-test ## draw the picture of README.md anew; needs Chromium
	$(BIN)/python docs/picture.py docs/_static/plot-page.webp

notebooks: $(RUN) ## run every notebook into docs/notebooks; cells tagged skip-execution are left out

docs/notebooks/%.ipynb: notebooks/%.ipynb $(CODE) $(VENV)/with-docs
	@mkdir -p $(@D)
	$(BIN)/jupyter execute --startup_timeout=600 --output=../$(basename $@) $<

bench: $(VENV)/with-bench ## measure the speed beside that of others
	$(BIN)/python -m benchmarks

bench-scale: $(VENV)/with-test ## simulate 27,000 plots on a cluster; workers, one tile, cubes, answers
	$(BIN)/python -m benchmarks.workers
	$(BIN)/python -m benchmarks.choices
	$(BIN)/python -m benchmarks.cores
	$(BIN)/python -m benchmarks.cubes
	$(BIN)/python -m benchmarks.answers
	$(BIN)/python -m benchmarks.scale

fuzz: $(VENV)/with-test ## try damaged TIFFs, items and plot lists, 20,000 of each
	$(BIN)/python -m tests.fuzz

clean: ## remove what the other targets made, but for .venv
	rm -rf demo build dist docs/_build docs/notebooks .hypothesis .mypy_cache .pytest_cache .ruff_cache

# One stamp for each extra of pyproject.toml; make runs pip again where pyproject.toml is newer.
$(VENV)/with-%: pyproject.toml $(VENV)/made
	@echo 'Installing timesync_xr with its "$*" extra into $(VENV); the first time takes a minute.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# What some tests hold results against, and nothing else needs.
$(VENV)/with-oracles: tests/oracles.txt $(VENV)/with-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/oracles.txt
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'timesync_xr needs Python 3.11 or newer; $(PYTHON) is' \
	    "$$($(PYTHON) --version 2>&1 || true)." \
	    'Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'The venv module of $(PYTHON) is not complete.' \
	    'On Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
