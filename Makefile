# Everything a newcomer or a build machine needs: `make demo`, `make test`, `make check`.
# Only python3 (3.11 or later) with its venv module is expected; the rest is set up in .venv by pip, as pip is configured.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
# Two processes at once, of one thread each; a file of tests is always in one of them, so that its fixtures are made once.
PARALLEL ?= -n 2 --dist loadfile
# nnU-Net's U-Net (Apache-2.0), which one test takes over. Its other architectures would bring timm and torchvision.
NNUNET := dynamic-network-architectures>=0.4
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo test check lint coverage docs format clean system-packages ohif

help:
	@echo "make demo    a synthetic patient, analyzed; prints where the report is"
	@echo "make test    set up what the tests need, then run them"
	@echo "make check   format, lint, types, layers, docstrings, coverage of the record, commands in the documentation"
	@echo "make format  bring the code into the house format"
	@echo "make clean   remove .venv, $(DEMO)/ and caches"

demo: $(VENV)/.runtime
	@$(BIN)/spondyl demo --out "$(DEMO)"

test: $(VENV)/.development system-packages ohif
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: lint coverage docs

lint: $(VENV)/.development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_docstrings.py

# The record is small and everything stands on it, so every line of it is tested.
coverage: $(VENV)/.development
	$(BIN)/coverage run --data-file=$(VENV)/.coverage --source=src/spondyl/core -m pytest tests/core
	$(BIN)/coverage report --data-file=$(VENV)/.coverage --fail-under=100

docs: $(VENV)/.development
	$(BIN)/python docs/make_reference.py --check
	$(BIN)/python tools/run_docs.py

format: $(VENV)/.development
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) $(DEMO) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Stamps: pip runs again only when pyproject.toml is newer than the last installation.
$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) for development (several minutes the first time)"
	@$(BIN)/python -m pip install -qq --editable '.[serve,train,explain,test,check]'
	@$(BIN)/python -m pip install -qq --no-deps '$(NNUNET)'
	@touch $@ $(VENV)/.runtime

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Spondyl needs Python 3.11 or later as '$(PYTHON)'; install it, or say: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "could not create $(VENV): the venv module is missing (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }

system-packages:
	@tools/install_system_packages.sh

ohif: $(VENV)/.development
	@PATH="$$PATH:$(abspath $(BIN))" tools/install_ohif.sh
