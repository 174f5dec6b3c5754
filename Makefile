# Each target does the set-up it needs; what is there already costs seconds.
SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.lock-$(shell sha256sum requirements.lock pyproject.toml | sha256sum | cut -c1-16)

.PHONY: help setup demo zoo test test-fast test-swarm lint bench down
help:
	@echo 'make demo       a CI host on this machine: two recipes green, one broken recipe caught'
	@echo 'make test       every check of this checkout'
	@echo 'make test-fast  the checks that need no Swarm'
	@echo 'make zoo        every broken recipe, caught where and why it should be'
	@echo 'make lint       static checks alone'
	@echo 'make bench      one cold run beside the same plan by bare Docker'
	@echo 'make setup      only the set-up;  make down: remove the proxy and the backup bot again'

$(STAMP):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or later is needed'; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@echo 'making the virtual environment …'
	@test -x $(BIN)/python || python3 -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.lock-* && touch $@

setup: $(STAMP)
	@$(BIN)/python -m sandbox setup

demo: setup
	@$(BIN)/cc-ci demo

zoo: setup
	@$(BIN)/cc-ci zoo

lint: $(STAMP)
	@scripts/lint.sh

test: setup lint
	@$(BIN)/pytest tests

test-fast: $(STAMP)
	@$(BIN)/pytest tests -m 'not swarm'

bench: setup
	@$(BIN)/python -m sandbox floor > .bench/floor.json
	@$(BIN)/cc-ci bench .bench/floor.json

down: $(STAMP)
	@$(BIN)/python -m sandbox down
