# `make demo` and `make test` need Python >= 3.10 with venv, make and git; they install the rest into .venv.
# `make help` lists the targets. PYTHON=python3.12 chooses another interpreter for a new .venv.

PYTHON ?= python3
BIN := .venv/bin
PYTEST_WORKERS ?= -n auto --maxprocesses 2
# What asks most of the same code again, under another NumPy: `make test-all` does.
NUMPY1_LEAVES_OUT := $(addprefix --ignore tests/test_,replay_suite.py replay_tests.py replay_backends.py op_db.py)
SOURCES := setup.cfg pyproject.toml constraints.txt

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One BLAS thread each: test workers and BLAS threads would otherwise fight over the cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.DELETE_ON_ERROR:
.PHONY: help demo test test-numpy1 test-all lint format benchmark clean check-python

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*##/\1 -/p' $(MAKEFILE_LIST)

demo: .venv/.installed  ## grade the package and train on the hand-written digits
	$(BIN)/python autograder/hw1_autograd_runner.py
	$(BIN)/python -m models.mlp --min-accuracy 96

test: lint test-numpy1 .venv/.installed  ## lint, types, and every test under NumPy 2 and NumPy 1.26
	$(BIN)/python -m pytest $(PYTEST_WORKERS)

test-all: NUMPY1_LEAVES_OUT :=
test-all: lint test-numpy1 .venv/.installed  ## as test, with the slow tests and each Python from 3.10 to 3.13 that is here
	@for version in 3.10 3.11 3.12 3.13; do \
	    if python$$version -c '' 2>/dev/null; then $(MAKE) --no-print-directory matrix-$$version || exit 1; \
	    else echo "python$$version is not here: not tested"; fi; done
	@if python3.13 -c '' 2>/dev/null; then $(MAKE) --no-print-directory matrix-newest; fi
	$(BIN)/python -m pytest $(PYTEST_WORKERS) -m "slow or not slow"

lint: .venv/.installed  ## ruff and mypy, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.installed  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

benchmark: .venv-bench/.installed  ## measure: README's tables, docs/benchmarks.md; BENCHMARK=--quick for a first impression
	.venv-bench/bin/python -m benchmarks $(BENCHMARK)

clean:  ## remove everything that make built
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis handin.tar
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environments. A stamp file is written last, so that a broken installation is tried again.

check-python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "$(PYTHON) was not found: install Python 3.10 or newer, or name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): name a newer one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) lacks the venv module: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }

.venv/.installed: $(SOURCES) | check-python
	@echo "Setting up .venv: NumPy, PyTorch and the tools (some minutes, once; how to leave CUDA out: README, Installing)"
	@$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[dev]
	touch $@

# Each further interpreter has the tests' needs without PyTorch: what needs it is skipped, and says so.
.venv-3.%/.installed: $(SOURCES)
	python3.$* -m venv .venv-3.$*
	.venv-3.$*/bin/python -m pip install --quiet --constraint constraints.txt --editable .[test]
	touch $@

# What a user gets today, who has no constraints.txt: a newer NumPy may warn of what the pinned one does.
.venv-newest/.installed: $(SOURCES)
	python3.13 -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable .[test]
	touch $@

# Everybody who is measured: JAX, autograd, MyGrad, SciPy's BLAS and numba beside the package and PyTorch.
.venv-bench/.installed: $(SOURCES) benchmarks/requirements.txt | check-python
	@echo "Setting up .venv-bench: the frameworks that are measured (two minutes, once)"
	@$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt \
	    --editable .[dev]
	touch $@

matrix-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest $(PYTEST_WORKERS) -m "slow or not slow"

.venv-numpy1/.installed: $(SOURCES) | check-python
	$(PYTHON) -m venv .venv-numpy1
	sed 's/^numpy==.*/numpy==1.26.4/' constraints.txt > .venv-numpy1/constraints.txt
	.venv-numpy1/bin/python -m pip install --quiet --constraint .venv-numpy1/constraints.txt --editable .[test]
	touch $@

test-numpy1:  ## the tests that need no PyTorch, under NumPy 1.26
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then \
	    echo "NumPy 1.26 has no build for $$($(PYTHON) -V): not tested"; \
	else $(MAKE) --no-print-directory .venv-numpy1/.installed && \
	    .venv-numpy1/bin/python -m pytest $(PYTEST_WORKERS) $(NUMPY1_LEAVES_OUT); fi
