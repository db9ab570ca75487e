# Everything a person does with this checkout. Needs make and Python 3.11 or newer, nothing else.
# `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is new enough; `make PYTHON=/path/to/python setup` names another.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))

# pip looks at PIP_CERT; a machine with its own authority says so in SSL_CERT_FILE.
ifdef SSL_CERT_FILE
export PIP_CERT ?= $(SSL_CERT_FILE)
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled modules are kept: without them every process start costs seconds.
unexport PYTHONDONTWRITEBYTECODE

PURE_TESTS := tests/unit tests/property tests/oracle
NODE_CLIENTS := tests/clients/node
TEST_OPTIONS ?=
# Pure tests run side by side. Tests with servers run one after the other: several Kafkas, databases
# and deployments at once are too much for two cores. On more, `make test TEST_WORKERS=3` gives each
# worker servers of its own.
PURE_WORKERS ?= 2
TEST_WORKERS ?= 0
PURE = $(BIN)/python -m pytest -n $(PURE_WORKERS)
PYTEST = $(BIN)/python -m pytest -n $(TEST_WORKERS)

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

# ---- running ------------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/run.txt ## Build .venv from the hashed lock (nothing to do when it is up to date)

.PHONY: run
run: setup ## Start everything in the foreground; Ctrl-C stops it (DEMO=0: without the demo shop)
	@exec $(BIN)/python -m deploy.local run

.PHONY: up
up: setup ## Start everything in the background; returns when it is ready
	@exec $(BIN)/python -m deploy.local up

.PHONY: down
down: setup ## Stop what `make up` or `make run` started
	@exec $(BIN)/python -m deploy.local down

.PHONY: demo
demo: setup ## Send the demo shop's events to the stack that runs, and show what came of them
	@exec $(BIN)/python -m deploy.local demo

# ---- checking -----------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/dev.txt ## All tests; starts its own Kafka and PostgreSQL
	$(PURE) $(PURE_TESTS) $(TEST_OPTIONS)
	$(PYTEST) tests $(addprefix --ignore=,$(PURE_TESTS)) $(TEST_OPTIONS)

.PHONY: test-unit
test-unit: $(VENV)/dev.txt ## Tests of pure code: no process, no network, seconds
	$(PURE) $(PURE_TESTS) $(TEST_OPTIONS)

.PHONY: test-integration
test-integration: $(VENV)/dev.txt ## Tests of one part on real Kafka and PostgreSQL, and of contracts
	$(PYTEST) tests/integration tests/hazards tests/contract $(TEST_OPTIONS)

.PHONY: test-e2e
test-e2e: $(VENV)/dev.txt ## Tests of all services together
	$(BIN)/python -m pytest tests/e2e $(TEST_OPTIONS)

.PHONY: test-clients
test-clients: $(VENV)/dev.txt $(VENV)/clients.txt $(NODE_CLIENTS)/node_modules/made kcat ## Real clients (Python, Node.js, kcat) run the code of docs/clients
	CONCERT_CLIENTS=$(abspath $(VENV)/clients) $(BIN)/python -m pytest tests/clients $(TEST_OPTIONS)

.PHONY: chaos
chaos: $(VENV)/dev.txt ## Kills and freezes at every crash point, with more seeds than `make test`
	CHAOS_SEEDS=$${CHAOS_SEEDS:-20} $(BIN)/python -m pytest tests/chaos $(TEST_OPTIONS)

.PHONY: fuzz
fuzz: $(VENV)/dev.txt ## Every operation of the collector's OpenAPI document, with more requests than `make test`
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-50} $(BIN)/python -m pytest tests/e2e/test_openapi.py --timeout=1800 $(TEST_OPTIONS)

.PHONY: bench-rules
bench-rules: $(VENV)/dev.txt ## Route 100,000 events to 10,000 rules, compared with asking each
	$(BIN)/python -m bench.rules

.PHONY: bench
bench: $(VENV)/dev.txt ## Measure throughput and latency beside the floor; writes docs/benchmarks.md
	$(BIN)/python -m bench

.PHONY: scale
scale: $(VENV)/dev.txt ## A million profiles, a million waiting timers, 90 days of a journey (ONLY=timers)
	$(BIN)/python -m bench.scale $(if $(ONLY),--only $(ONLY)) $(if $(PROFILES),--profiles $(PROFILES))

.PHONY: lint
lint: $(VENV)/dev.txt ## Style: ruff's rules and its format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/dev.txt ## Types: mypy, strict
	$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/dev.txt ## Layers: who may import whom
	$(BIN)/lint-imports

# ---- the environment ----------------------------------------------------------------------------

.PHONY: format
format: $(VENV)/dev.txt ## Rewrite the code in ruff's format
	$(BIN)/ruff format .

.PHONY: locks
locks: $(VENV)/dev.txt ## Resolve the dependencies of pyproject.toml anew (UPGRADE=1: to the newest)
	$(COMPILE) --extra local --extra dev --output-file requirements/dev.txt
	$(COMPILE) --extra local --constraints requirements/dev.txt --output-file requirements/run.txt
	$(COMPILE:pyproject.toml=requirements/clients.in) --output-file requirements/clients.txt

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade)

# Each installed lock is copied into .venv, so that a changed lock (and only that) installs again.
$(VENV)/run.txt: requirements/run.txt $(VENV)/made
	@$(call install,run)

$(VENV)/dev.txt: requirements/dev.txt $(VENV)/run.txt
	@$(call install,dev)

define install
if cmp -s requirements/$(1).txt $(VENV)/$(1).txt; then touch $(VENV)/$(1).txt; else \
	echo "installing requirements/$(1).txt into $(VENV) (a minute the first time) …"; \
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/$(1).txt || exit 1; \
	cp requirements/$(1).txt $(VENV)/$(1).txt; fi
endef

# The clients of `make test-clients`, apart from everything else: they are what users have.
$(VENV)/clients.txt: requirements/clients.txt $(VENV)/made
	@echo "installing requirements/clients.txt into $(VENV)/clients …"
	@$(PYTHON) -m venv --clear $(VENV)/clients
	@$(VENV)/clients/bin/python -m pip install --quiet --require-hashes -r $<
	@cp $< $@

$(NODE_CLIENTS)/node_modules/made: $(NODE_CLIENTS)/package-lock.json
	@command -v npm >/dev/null || { echo "make test-clients needs Node.js 20 or newer with npm" >&2; exit 1; }
	@echo "installing $< …"
	@cd $(NODE_CLIENTS) && npm ci --silent
	@touch $@

.PHONY: kcat
kcat:
	@command -v kcat >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -qq -y kcat >/dev/null; } || \
		{ echo "make test-clients needs kcat: apt install kcat, or brew install kcat" >&2; exit 1; }

$(VENV)/made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Concert needs Python 3.11 or newer: install it, or make PYTHON=/path/to/python" >&2; \
		exit 1; fi
	@echo "making $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@
