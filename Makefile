# The two commands of the README: `make demo` and `make test`. Everything else is made of the same steps.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: help setup demo test test-python test-node test-light lint format stubs stubs-check docs buf bench image-steps browser browser-by-apt clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## Create the virtual environment with all extras.

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup ## Start a server, load adapters over the admin RPC, send real requests, show the answers.
	$(BIN)/python -m examples.demo

test: setup lint stubs-check buf test-light test-node browser test-python ## Run every check and every test.

test-python: setup
	$(BIN)/python -m pytest

test-node: setup ## Run the Node.js client against a real server.
	$(BIN)/python -m scripts.test_node

test-light: setup ## Install the client alone, with older gRPC and protobuf, and use it.
	$(BIN)/python -m scripts.test_light_client

lint: setup ## Style, types, and the direction of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the Python code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stubs: setup ## Generate the protobuf stubs anew.
	$(BIN)/python scripts/generate_stubs.py

stubs-check: setup ## Fail if the stubs aren't what the .proto files give.
	$(BIN)/python scripts/generate_stubs.py --check

docs: setup ## Generate the parts of the documents that the code tells: settings, errors, metrics.
	$(BIN)/python -m scripts.generate_docs

buf: setup ## Lint the .proto files and check their format.
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code proto

bench: setup ## Run all benchmarks, quick; see README for single ones.
	$(BIN)/python -m benchmarks all --quick

# What the Dockerfile runs, so that CI exercises it without a Docker engine.
IMAGE_VENV ?= build/image-venv
image-steps: ## Install the server as the Dockerfile does.
	$(PYTHON) -m venv $(IMAGE_VENV)
	$(IMAGE_VENV)/bin/pip install --quiet --constraint constraints.txt torch
	$(IMAGE_VENV)/bin/pip install --quiet --constraint constraints.txt '.[server]'
	$(IMAGE_VENV)/bin/adaptermux --version

browser: ## Install Chromium and its driver, for the tests of the live page, where they are missing and apt is there.
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || $(MAKE) --no-print-directory browser-by-apt

browser-by-apt:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
	else echo "no Chromium: the tests of the live page in a browser are skipped (they need chromium and chromedriver)"; fi

clean: ## Remove what the other targets made.
	rm -rf $(VENV) .venv-protoc build dist client/node/node_modules
