# People and CI call the same recipes. Each makes its own environment: Python >= 3.11, pip and make are enough.
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
VENV ?= .venv
DEMO_VENV ?= .venv-demo
JOBS ?= 2
# Apart from others: where TensorFlow is loaded, the compiler of PyTorch's CUDA builds (triton) ends the process.
WITH_TENSORFLOW = tests/test_tensorflow.py tests/test_docs.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-core test-frameworks test-fast check format bench docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(DEMO_VENV)/done ## make a small data set, train three models on it, print and draw what came out
	$(DEMO_VENV)/bin/rowlock demo

test: $(VENV)/done ## every test; those with Keras on each backend (demo and examples on TensorFlow), other frameworks once
	@echo "Two parts, some 20 minutes on two cores: $(JOBS) at a time; of more than one, what each says appears when it ends."
	$(MAKE) --jobs=$(JOBS) --output-sync=line test-core test-frameworks

test-core: $(VENV)/done ## the first part of them: whatever needs no framework
	$(VENV)/bin/python -m pytest -m "not framework and not adapter"

test-frameworks: $(VENV)/done ## the second part
	KERAS_BACKEND=tensorflow $(VENV)/bin/python -m pytest -m framework
	KERAS_BACKEND=jax $(VENV)/bin/python -m pytest -m "framework and not slow"
	KERAS_BACKEND=torch $(VENV)/bin/python -m pytest -m "framework and not slow"
	KERAS_BACKEND=jax $(VENV)/bin/python -m pytest -m "adapter and not framework" $(WITH_TENSORFLOW:%=--ignore=%)
	$(VENV)/bin/python -m pytest -m "adapter and not framework" $(WITH_TENSORFLOW)

test-fast: $(VENV)/done ## the tests that take seconds and need no framework
	$(VENV)/bin/python -m pytest -m "not slow and not framework and not adapter"

check: $(VENV)/done ## format, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/done ## rewrite the source as `check` wants it
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/done ## the benchmarks, each beside its reference
	for script in benchmarks/*.py; do echo "== $$script"; $(VENV)/bin/python $$script || exit 1; done

docs: $(VENV)/done ## the manual, as pages in site/
	KERAS_BACKEND=jax $(VENV)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs site

clean: ## remove environments and caches
	rm -rf $(VENV) $(DEMO_VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src \( -name '*.nbi' -o -name '*.nbc' \) -delete

$(VENV)/done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rowlock needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP) --upgrade "pip>=25.1"
	$(VENV)/bin/python $(PIP) --group check --group docs --group test --editable '.[keras,jax,torch,tensorflow,ray,plot]'
	touch $@

$(DEMO_VENV)/done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rowlock needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python $(PIP) '.[keras,tensorflow,plot]'
	touch $@
