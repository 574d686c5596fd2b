# clipsim: `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench mini catalogue clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,heic]'
	@touch $@

install: $(STAMP) ## make the virtual environment with clipsim and its development tools

demo: $(STAMP) ## rank the pictures in images/ against two words
	$(BIN)/clipsim rank images/*.jpeg --text maze --text cat

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## time clipsim beside the usual hand-written script
	$(BIN)/python -m benchmarks.bench

mini: $(STAMP) ## retrain and score the bundled model (an hour or two on two cores)
	$(BIN)/python -m clipsim.mini.train
	$(BIN)/python -m clipsim.mini.evaluate
	$(BIN)/python -m clipsim.mini.probe

catalogue: $(STAMP) ## write the model facts anew from the installed open_clip
	$(BIN)/python scripts/make_catalogue.py

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +
