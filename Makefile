# clipsim: `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLDEST ?= build/oldest
CLIENTS ?= build/clients
EXAMPLES ?= build/examples
RELEASE ?= build/release
# a process a core, at most four, since torch takes a gigabyte in each; a file of tests has its servers and models once
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

# the tests start hundreds of processes, which share the compiled modules wherever the shell forbids to keep them
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo demo-serve test test-quick test-oldest test-server test-examples lint format docs pictures bench gpu-check mini catalogue dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,heic,raw]'
	@touch $@

install: $(STAMP) ## create the virtual environment with clipsim and its development tools

demo: $(STAMP) ## rank the pictures in images/ against two words
	$(BIN)/clipsim rank images/*.jpeg --text maze --text cat

demo-serve: $(STAMP) ## open the page of a server on the pictures in images/ (ends with Ctrl-C)
	$(BIN)/clipsim serve images/ --port 8080

test: $(STAMP) ## run all tests
	$(BIN)/python -m pytest $(PARALLEL)

test-quick: $(STAMP) ## run the tests that start no process, load no torch and take no time
	$(BIN)/python -m pytest -p tests.quick $(PARALLEL)

# every `name>=version` of pyproject.toml as `name==version`
test-oldest: ## run all tests on the oldest versions that pyproject.toml allows (by hand: installs an old torch)
	$(PYTHON) -m venv $(OLDEST)
	grep -oE '"[][A-Za-z_-]+>=[0-9.]+"' pyproject.toml | tr -d '"' | sed 's/\[.*\]//; s/>=/==/' > $(OLDEST)/bounds.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/bounds.txt --editable '.[dev,heic,raw]'
	$(OLDEST)/bin/python -m pytest $(PARALLEL)

# the clients of other servers, and requests generated from the server's OpenAPI document
test-server: ## run the server's tests with the packages that call such servers (by hand or nightly: installs them)
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --editable '.[dev]' openai langchain-openai \
		llama-index-embeddings-openai-like infinity_client requests openapi-spec-validator schemathesis
	$(CLIENTS)/bin/python -m pytest tests/server/test_clients.py tests/server/test_schema.py

test-examples: ## run the examples with the packages that they use (by hand or nightly: installs them)
	$(PYTHON) -m venv $(EXAMPLES)
	$(EXAMPLES)/bin/python -m pip install --quiet --editable '.[dev]' fastapi lancedb qdrant-client nbclient ipykernel
	$(EXAMPLES)/bin/python -m pytest tests/test_examples.py

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## build the site of the documentation into build/site; a warning is an error
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

pictures: $(STAMP) ## make the pictures of the documentation anew (needs Chromium)
	$(BIN)/python scripts/make_picture.py
	$(BIN)/python scripts/make_screenshots.py

bench: $(STAMP) ## time clipsim beside the usual hand-written script
	$(BIN)/python -m benchmarks.bench

gpu-check: $(STAMP) ## check and measure clipsim on a GPU, in at most nine minutes (DEVICE=cuda; OPTIONS=--quick)
	$(BIN)/python -m benchmarks.gpu_check --device $(or $(DEVICE),cuda) $(OPTIONS)

mini: $(STAMP) ## fetch pictures, retrain and score the bundled model (some hours on two cores; needs npm and apt-get)
	$(BIN)/python -m training.sources
	$(BIN)/python -m training.render
	$(BIN)/python -m training.train
	$(BIN)/python -m training.calibrate
	$(BIN)/python -m training.card
	$(BIN)/python -m training.answers

catalogue: $(STAMP) ## write the facts of all models from the installed open_clip
	$(BIN)/python scripts/make_catalogue.py

dist: ## build the sdist and the wheel into dist/ and check them (installs build and twine)
	rm -rf dist
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet build twine
	$(RELEASE)/bin/python -m build
	$(RELEASE)/bin/python -m twine check --strict dist/*

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +
